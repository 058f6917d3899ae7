//! The errors of running a process.

use std::net::SocketAddr;

use crate::BoxError;

/// Why a process could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The address is taken, or not this machine's, or needs a privilege.
    #[error("{server}: cannot listen on {address}: {source}")]
    Bind {
        server: String,
        address: SocketAddr,
        source: std::io::Error,
    },
    /// Descriptor bytes that reflection cannot use.
    #[error("{server}: the file descriptor set is not usable: {source}")]
    Descriptors { server: String, source: BoxError },
    /// A subscriber, recorder or exporter could not be set up.
    #[error("telemetry: {part} could not be set up: {source}")]
    Telemetry {
        part: &'static str,
        source: BoxError,
    },
    /// Signal handlers could not be installed.
    #[error("cannot listen for signals: {source}")]
    Signals { source: std::io::Error },
    /// A task returned an error.
    #[error("{task} failed: {source}")]
    TaskFailed { task: String, source: BoxError },
    /// A task panicked.
    #[error("{task} panicked: {message}")]
    TaskPanicked { task: String, message: String },
    /// A task that should run until it is told to stop returned before.
    #[error("{task} ended although nothing had told it to stop")]
    TaskEndedEarly { task: String },
    /// Tasks that did not stop within their stage's grace and were aborted.
    #[error("stage {stage} did not stop in {grace_seconds} s; aborted: {tasks}")]
    StageOverdue {
        stage: String,
        grace_seconds: f64,
        tasks: String,
    },
}
