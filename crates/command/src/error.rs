//! Why the command services cannot go on.

use compline_runtime::RuntimeError;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Every command would be answered UNAVAILABLE from now on; a new start makes a
    /// new appender.
    #[error("the log's appender has failed for good: {reason}")]
    Appender { reason: String },
    #[error(transparent)]
    Server(#[from] RuntimeError),
}
