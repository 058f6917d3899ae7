//! An embedded broker in a folder of a test's own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use compline_broker::{Broker, BrokerConfig, Error, RunningBroker, repair::Repair};
use compline_eventlog::{Log, LogConfig};
use tempfile::TempDir;

/// A broker on a free port, which stays the same over restarts.
#[derive(Debug)]
pub struct TestBroker {
    folder: TempDir,
    address: SocketAddr,
    running: Option<RunningBroker>,
}

/// Starts a broker on a free port.
pub async fn broker() -> TestBroker {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let running = start(&folder, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    TestBroker {
        address: running.local_addr(),
        folder,
        running: Some(running),
    }
}

/// A broker with compline's topics, and the log on it.
pub async fn log() -> (Log, TestBroker) {
    let broker = broker().await;
    (broker.log().await, broker)
}

impl TestBroker {
    /// For `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Everything that it has written.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A log on this broker, its topics made.
    pub async fn log(&self) -> Log {
        let log = Log::new(LogConfig::new(self.bootstrap())).expect("the settings are good");
        log.ensure_topics().await.expect("topics can be made");
        log
    }

    /// Ends it at once and without a goodbye, as a crash would. What was in the
    /// kernel's hands stays there; what was only in the broker's is lost.
    pub fn crash(&mut self) {
        self.running = None;
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.expect("the broker stops in order");
        }
    }

    /// Cuts out of what it wrote all that is damaged.
    pub fn repair(&self) {
        assert!(self.running.is_none(), "the broker is running");
        let plan = Repair::plan(self.folder.path()).expect("the folder can be read");
        let aside = self.folder.path().join("cut");
        plan.apply(&aside).expect("the damage can be cut out");
    }

    /// Takes away all that it wrote; the next start is a first one.
    pub fn lose_all(&mut self) {
        assert!(self.running.is_none(), "the broker is running");
        self.folder = tempfile::tempdir().expect("a temporary folder can be made");
    }

    /// At the next start it has what the other one wrote, and the other way round.
    pub fn change_places(&mut self, other: &mut TestBroker) {
        let is_running = self.running.is_some() || other.running.is_some();
        assert!(!is_running, "a broker is running");
        std::mem::swap(&mut self.folder, &mut other.folder);
    }

    /// Takes away the records of a partition below `offset`, as Kafka's DeleteRecords does.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut request = Vec::new();
        let text = |request: &mut Vec<u8>, text: &str| {
            let length = i16::try_from(text.len()).expect("a short name");
            request.extend(length.to_be_bytes());
            request.extend(text.as_bytes());
        };
        // DeleteRecords, version 0, correlation 1.
        request.extend([0, 21, 0, 0, 0, 0, 0, 1]);
        text(&mut request, "testkit");
        request.extend(1_i32.to_be_bytes());
        text(&mut request, topic);
        request.extend(1_i32.to_be_bytes());
        request.extend(partition.to_be_bytes());
        request.extend(offset.to_be_bytes());
        request.extend(10_000_i32.to_be_bytes());
        let size = i32::try_from(request.len()).expect("a short request");

        let exchange = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(&size.to_be_bytes())?;
            stream.write_all(&request)?;
            let mut size = [0; 4];
            stream.read_exact(&mut size)?;
            let mut answer = vec![0; i32::from_be_bytes(size).unsigned_abs() as usize];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().expect("the broker answers");
        assert!(answer.ends_with(&[0, 0]), "not deleted: {answer:?}");
    }

    /// Starts it again on what it wrote, at the same address.
    pub async fn start(&mut self) {
        assert!(self.running.is_none(), "the broker is running");
        self.running = Some(start(&self.folder, self.address).await);
    }
}

async fn start(folder: &TempDir, bind: SocketAddr) -> RunningBroker {
    let mut config = BrokerConfig::new(folder.path());
    config.bind = bind;
    for _ in 0..1000 {
        match Broker::open(config.clone()).await {
            Ok(broker) => return broker.start(),
            // One that crashed gives folder and port back a moment later.
            Err(Error::InUse { .. } | Error::Bind { .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("folder or port of the broker are not given back");
}
