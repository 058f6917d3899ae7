//! Why ingress does not start, or cannot go on.

use std::net::SocketAddr;

use compline_runtime::{ConfigError, RuntimeError};

#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    #[error("ingress: {0}")]
    Config(#[from] ConfigError),
    #[error(
        "ingress setting {key} holds a documented sample secret, and {address} is not loopback"
    )]
    SampleSecret {
        key: &'static str,
        address: SocketAddr,
    },
    #[error("the listener has no address: {source}")]
    Address { source: std::io::Error },
    /// Every delivery would be answered 503 from now on; a new start makes a new appender.
    #[error("the log's appender has failed for good: {reason}")]
    Appender { reason: String },
    #[error(transparent)]
    Server(#[from] RuntimeError),
}
