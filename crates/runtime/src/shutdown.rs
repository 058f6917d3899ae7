//! The one decision that the process stops, and why.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::RuntimeError;

/// What a shell expects of a process that a signal ended: 128 + SIGINT.
const FORCED_EXIT_CODE: i32 = 130;

/// Clones share the decision. Tasks do not listen here but to their stage
/// ([`crate::Stage::token`]), so that stages can stop one after another.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the shutdown. The first reason stays.
    pub fn begin(&self, reason: impl Into<String>) {
        if self.reason.set(reason.into()).is_ok() {
            self.begun.cancel();
        }
    }

    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Returns once the shutdown has begun.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Cancelled once the shutdown has begun, before any stage is stopped.
    pub fn token(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Why, once it has begun.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// SIGINT or SIGTERM begins the shutdown, a second one ends the process at once with code 130.
    /// Must be called inside a Tokio runtime.
    pub fn on_signals(&self) -> Result<(), RuntimeError> {
        let install = |kind| signal(kind).map_err(|source| RuntimeError::Signals { source });
        let mut interrupt = install(SignalKind::interrupt())?;
        let mut terminate = install(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                };
                if shutdown.has_begun() {
                    tracing::warn!(signal = name, "asked again to stop, leaving at once");
                    std::process::exit(FORCED_EXIT_CODE);
                }
                tracing::info!(signal = name, "asked to stop; once more to leave at once");
                shutdown.begin(name);
            }
        });
        Ok(())
    }
}
