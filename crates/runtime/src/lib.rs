//! What every role needs to run and nothing of what any role does: configuration, telemetry,
//! health, ordered shutdown, and the plumbing under gRPC and HTTP servers.
//!
//! It stands below every process: the binary loads its settings with [`config`], starts
//! [`telemetry`], hands named tasks to [`tasks::Tasks`], and each role serves through [`grpc`] or
//! [`http`] and reports through [`health`].
//!
//! Invariants:
//! - it knows no domain: no event, no table, no topic, no message type of ours;
//! - no task of a role ends unseen: an error, a panic or an early end stops the process;
//! - no secret is printed: [`config::Secret`] shows `[redacted]`, and no error quotes one;
//! - whoever calls a gRPC method has been named by [`auth`], except on health and reflection;
//! - everything a peer can make grow (connections, bodies, headers, time, metric labels) has a bound.

pub mod admin;
pub mod auth;
pub mod config;
mod connections;
mod error;
pub mod grpc;
pub mod health;
pub mod http;
mod listen;
pub mod metric_definitions;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;

pub use config::{ConfigError, Secret};
pub use error::RuntimeError;
pub use health::Health;
pub use listen::bind;
pub use shutdown::Shutdown;
pub use tasks::{Stage, Tasks};

/// The source of an error that this crate only carries.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
