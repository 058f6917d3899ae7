//! A broker from open to stop.

use std::future::Future;
use std::net::SocketAddr;

use crate::{BrokerConfig, Error, Stats};

/// A broker that holds its folder and its port, and serves nobody yet.
#[derive(Debug)]
pub struct Broker {
    _config: BrokerConfig,
}

impl Broker {
    /// Locks the folder, recovers what is in it and takes the port. Clients that connect from now
    /// on wait until the broker runs.
    pub async fn open(config: BrokerConfig) -> Result<Broker, Error> {
        config.check()?;
        Ok(Broker { _config: config })
    }

    /// The address that was bound, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// What clients are told to connect to, as `host:port`: a value for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        unimplemented!()
    }

    /// A way to read statistics while the broker runs; it may outlive the broker.
    pub fn monitor(&self) -> Monitor {
        Monitor {}
    }

    /// Serves until `shutdown` is done, then drains, syncs and closes. An error means that the
    /// broker could not go on; what it acknowledged is on disk all the same.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        shutdown.await;
        Ok(())
    }

    /// Serves in the background until stopped.
    pub fn start(self) -> RunningBroker {
        unimplemented!()
    }
}

/// A broker that serves in the background. Dropped, it stops as after a crash: at once, and the
/// next open recovers.
#[derive(Debug)]
pub struct RunningBroker {}

impl RunningBroker {
    /// As [`Broker::local_addr`].
    pub fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// As [`Broker::bootstrap`].
    pub fn bootstrap(&self) -> String {
        unimplemented!()
    }

    /// As [`Broker::monitor`].
    pub fn monitor(&self) -> Monitor {
        Monitor {}
    }

    /// Waits until the broker stops by itself, which is always an error.
    pub async fn failed(&mut self) -> Error {
        unimplemented!()
    }

    /// Drains, syncs and closes.
    pub async fn stop(self) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads the statistics of a broker.
#[derive(Debug, Clone)]
pub struct Monitor {}

impl Monitor {
    /// A snapshot, taken now.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
