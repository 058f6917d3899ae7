//! The log that is checked, and what is known of it beforehand.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};

use crate::Difference;

/// A log to be checked.
#[derive(Clone)]
pub struct Log {
    pub(crate) bootstrap: String,
    kind: Kind,
    restart: Option<Restart>,
    seen: Arc<Mutex<BTreeSet<Difference>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedded,
    Kafka,
}

type Restart = Arc<dyn Fn() -> Restarting + Send + Sync>;
type Restarting = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

impl Log {
    /// The embedded broker at `host:port`.
    pub fn embedded(bootstrap: &str) -> Log {
        Log::at(bootstrap, Kind::Embedded)
    }

    /// Apache Kafka at `host:port,…`.
    pub fn kafka(bootstrap: &str) -> Log {
        Log::at(bootstrap, Kind::Kafka)
    }

    fn at(bootstrap: &str, kind: Kind) -> Log {
        Log {
            bootstrap: bootstrap.to_owned(),
            kind,
            restart: None,
            seen: Arc::default(),
        }
    }

    /// Gives the way to end the whole log and to start it again, on the same addresses.
    pub fn restarted_by<F>(mut self, restart: impl Fn() -> F + Send + Sync + 'static) -> Log
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.restart = Some(Arc::new(move || Box::pin(restart())));
        self
    }

    pub(crate) async fn restart(&self) -> anyhow::Result<()> {
        let restart = self.restart.as_ref();
        restart.context("the runner gave no way to restart the log")?().await
    }

    /// Where logs may differ: what was found must be what is written down for this one.
    pub(crate) fn differs(&self, line: Difference, found: impl Display) -> anyhow::Result<()> {
        let wanted = match self.kind {
            Kind::Embedded => line.embedded,
            Kind::Kafka => line.kafka,
        };
        let found = found.to_string();
        ensure!(found == wanted, "{}: {found}, not {wanted}", line.what);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(line);
        Ok(())
    }

    /// Whether a difference was found to be as it is written down.
    pub(crate) fn has_seen(&self, line: &Difference) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(line)
    }

    /// Each address of the bootstrap list.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.bootstrap.split(',').map(str::trim)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("bootstrap", &self.bootstrap)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
