//! The appender's end, told by whichever call meets it first.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Default)]
pub(crate) struct Failure {
    reason: Arc<OnceLock<String>>,
    happened: CancellationToken,
}

impl Failure {
    /// The first reason stays.
    pub(crate) fn happen(&self, reason: String) {
        if self.reason.set(reason).is_ok() {
            self.happened.cancel();
        }
    }

    pub(crate) async fn happened(&self) {
        self.happened.cancelled().await;
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }
}
