//! A broker in the background, and a look at one that runs.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::as_own;
use crate::server::Server;
use crate::{Error, Stats, stats};

/// A broker that serves in the background. Dropped, it stops as after a crash: at once, and the
/// next open recovers. It gives its folder back a moment later, when its tasks are gone.
#[derive(Debug)]
pub struct RunningBroker {
    pub(super) monitor: Monitor,
    pub(super) bootstrap: String,
    pub(super) local_addr: SocketAddr,
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: JoinHandle<Result<(), Error>>,
    /// How the task ended, once somebody has waited for it.
    pub(super) outcome: Option<Result<(), Arc<Error>>>,
}

impl RunningBroker {
    /// As [`super::Broker::local_addr`].
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// As [`super::Broker::bootstrap`].
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// As [`super::Broker::monitor`].
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Waits until the broker stops by itself, which is always an error. May be dropped and
    /// called again, also afterwards.
    pub async fn failed(&mut self) -> Error {
        self.ended().await.err().unwrap_or(Error::Ended)
    }

    /// Drains, syncs and closes.
    ///
    /// # Errors
    /// As of [`super::Broker::run`].
    pub async fn stop(mut self) -> Result<(), Error> {
        let _ = self.stop.send(true);
        self.ended().await
    }

    async fn ended(&mut self) -> Result<(), Error> {
        if self.outcome.is_none() {
            // A task that has told its end must not be asked again.
            let ended = (&mut self.task).await;
            let ended = ended.unwrap_or_else(|source| Err(Error::Task { source }));
            self.outcome = Some(ended.map_err(Arc::new));
        }
        match &self.outcome {
            Some(Err(error)) => Err(as_own(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads the statistics of a broker.
#[derive(Debug, Clone)]
pub struct Monitor {
    server: Weak<Server>,
}

impl Monitor {
    pub(super) fn of(server: &Arc<Server>) -> Monitor {
        Monitor {
            server: Arc::downgrade(server),
        }
    }

    /// A snapshot, taken now; all zeros when the broker is gone. Looks at every partition, so it
    /// is made to be called every few seconds.
    pub fn stats(&self) -> Stats {
        self.server
            .upgrade()
            .map(|server| stats::collect(&server))
            .unwrap_or_default()
    }
}
