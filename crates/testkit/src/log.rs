//! An embedded log in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use compline_broker::{Broker, BrokerConfig, RunningBroker};
use compline_eventlog::{Log, LogConfig};
use tempfile::TempDir;

/// Runs until it is dropped; then nothing is left of it.
#[derive(Debug)]
pub struct TestLog {
    folder: TempDir,
    address: SocketAddr,
    broker: Option<RunningBroker>,
}

impl TestLog {
    /// An empty log with the topics of `schemas/topics.toml`.
    pub async fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("compline-log-").tempdir()?;
        let broker = start(&folder, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let log = Self {
            folder,
            address: broker.local_addr(),
            broker: Some(broker),
        };
        log.log()?.ensure_topics().await?;
        Ok(log)
    }

    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    pub fn log(&self) -> Result<Log> {
        Ok(Log::new(LogConfig::new(self.bootstrap()))?)
    }

    /// Stops the broker; what was acknowledged stays on disk.
    pub async fn stop(&mut self) -> Result<()> {
        let broker = self.broker.take().context("the log is stopped already")?;
        Ok(broker.stop().await?)
    }

    /// On the same folder and the same port.
    pub async fn start_again(&mut self) -> Result<()> {
        self.broker = Some(start(&self.folder, self.address).await?);
        Ok(())
    }
}

async fn start(folder: &TempDir, bind: SocketAddr) -> Result<RunningBroker> {
    let mut config = BrokerConfig::new(folder.path());
    config.bind = bind;
    Ok(Broker::open(config).await?.start())
}
