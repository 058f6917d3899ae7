//! An embedded broker in a folder of a test's own.

use std::{net::SocketAddr, path::Path, time::Duration};

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
