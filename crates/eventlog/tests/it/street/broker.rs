//! What the log of a test runs on: an embedded broker of its own, or, where
//! `KAFKA_BOOTSTRAP` says so, the nodes of Apache Kafka that `dev/kafka` runs. Those are
//! shared, so such tests run one after the other (`dev/conformance`).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use compline_broker::{Broker, BrokerConfig, Error, RunningBroker};
use tempfile::TempDir;

use super::soon;

pub(crate) enum Brokers {
    Embedded {
        folder: TempDir,
        address: SocketAddr,
        running: Option<RunningBroker>,
    },
    Kafka {
        bootstrap: String,
        crashed: bool,
    },
}

/// A test that failed leaves the nodes to the next one as it found them.
impl Drop for Brokers {
    fn drop(&mut self) {
        if let Brokers::Kafka { crashed: true, .. } = self {
            kafka(&["up"]);
        }
    }
}

impl Brokers {
    pub(crate) async fn start() -> Brokers {
        if let Ok(bootstrap) = std::env::var("KAFKA_BOOTSTRAP") {
            return Brokers::Kafka {
                bootstrap,
                crashed: false,
            };
        }
        let folder = tempfile::tempdir().unwrap();
        let running = start(&folder, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        Brokers::Embedded {
            folder,
            address: running.local_addr(),
            running: Some(running),
        }
    }

    pub(crate) fn bootstrap(&self) -> String {
        match self {
            Brokers::Embedded { address, .. } => address.to_string(),
            Brokers::Kafka { bootstrap, .. } => bootstrap.clone(),
        }
    }

    /// As many copies as there are nodes.
    pub(crate) fn replication(&self) -> u16 {
        match self {
            Brokers::Embedded { .. } => 1,
            Brokers::Kafka { bootstrap, .. } => nodes(bootstrap) as u16,
        }
    }

    /// At once and without a goodbye, as a crash would; every node.
    pub(crate) fn crash(&mut self) {
        match self {
            Brokers::Embedded { running, .. } => *running = None,
            Brokers::Kafka { bootstrap, crashed } => {
                *crashed = true;
                let nodes = 1..=nodes(bootstrap);
                let nodes: Vec<_> = nodes.map(|node| node.to_string()).collect();
                let nodes = nodes.iter().map(String::as_str);
                kafka(&["kill"].into_iter().chain(nodes).collect::<Vec<_>>());
            }
        }
    }

    pub(crate) async fn start_again(&mut self) {
        match self {
            Brokers::Embedded {
                folder,
                address,
                running,
            } => *running = Some(start(folder, *address).await),
            Brokers::Kafka { crashed, .. } => {
                let up = tokio::task::spawn_blocking(|| kafka(&["up"]));
                up.await.unwrap();
                *crashed = false;
            }
        }
    }

    /// What has been written so far. Nothing may be running.
    pub(crate) fn backup(&self) -> TempDir {
        let backup = tempfile::tempdir().unwrap();
        for (name, data) in self.data() {
            copy(&data, &backup.path().join(name));
        }
        backup
    }

    /// Puts back what was written at the time of the backup: all since is forgotten.
    pub(crate) fn restore(&mut self, backup: TempDir) {
        for (name, data) in self.data() {
            std::fs::remove_dir_all(&data).unwrap();
            copy(&backup.path().join(name), &data);
        }
    }

    /// Every copy of a topic's segments that hold anything.
    pub(crate) fn segments(&self, topic: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (_, data) in self.data() {
            let listed = Command::new("find")
                .arg(data)
                .args(["-name", "*.log", "-size", "+0"])
                .output()
                .unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            let of_topic = listed.lines().filter(|path| path.contains(topic));
            found.extend(of_topic.map(PathBuf::from));
        }
        found
    }

    /// The folders with everything in them, each with a name.
    fn data(&self) -> Vec<(String, PathBuf)> {
        match self {
            Brokers::Embedded { folder, .. } => vec![("log".to_owned(), folder.path().join("log"))],
            Brokers::Kafka { bootstrap, .. } => {
                let folder = std::env::var("DEV_KAFKA_DIR").expect("the nodes' folder");
                let of = |node| Path::new(&folder).join(format!("node-{node}")).join("data");
                let nodes = 1..=nodes(bootstrap);
                nodes.map(|node| (node.to_string(), of(node))).collect()
            }
        }
    }
}

fn nodes(bootstrap: &str) -> usize {
    bootstrap.split(',').count()
}

fn kafka(arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/kafka");
    let ended = Command::new(script).args(arguments).output().unwrap();
    assert!(ended.status.success(), "dev/kafka {arguments:?}: {ended:?}");
}

/// Kafka's indexes are long files with next to nothing in them, and stay so.
fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    if cfg!(target_os = "linux") {
        command.arg("--sparse=always");
    }
    let ended = command.arg("-R").args([from, to]).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

async fn start(folder: &TempDir, bind: SocketAddr) -> RunningBroker {
    let mut config = BrokerConfig::new(folder.path().join("log"));
    config.bind = bind;
    let open = async {
        loop {
            match Broker::open(config.clone()).await {
                Ok(broker) => break broker.start(),
                // One that crashed gives folder and port back a moment later.
                Err(Error::InUse { .. } | Error::Bind { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    soon(open).await
}
