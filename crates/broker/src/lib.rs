//! An embedded, single-node, durable log that any Kafka client takes for Kafka.
//!
//! It stores record batches byte for byte as they came, in one folder, and serves them over
//! Kafka's protocol from inside the process that embeds it: open a [`Broker`] with a
//! [`BrokerConfig`], run it, and point any Kafka client at [`Broker::bootstrap`].
//!
//! What holds, whatever crashes:
//!
//! - Nothing is acknowledged before it is on disk, and no record is given to anyone before: the
//!   high watermark is the synced end.
//! - A failed sync stops the broker. It never goes on as if nothing had happened.
//! - A producer id is never given twice.
//! - Only what was never acknowledged is ever cut. Damage is refused and named; what to do about it
//!   is for a person, who has [`inspect`] and [`repair`].
//!
//! It knows nothing of replication, transactions, authentication or encryption, of what is in a
//! record, or of the program around it; statistics are a plain snapshot ([`Monitor::stats`]).
//!
//! From the wire down: `server` (connections, frames) → `api` (one handler a request) →
//! `coordinator`, `group`, `offsets` (consumer groups) and `topics`, `partition`, `log` (records)
//! → `file` (the disk). `syncer` makes records durable, `housekeeping` tidies.

mod api;
mod batch;
mod broker;
mod clock;
mod config;
mod coordinator;
mod error;
mod file;
mod folder;
#[cfg(test)]
mod fuzz;
mod group;
mod guard;
mod housekeeping;
pub mod inspect;
mod log;
mod offsets;
mod partition;
mod producer_ids;
pub mod repair;
mod server;
#[cfg(test)]
mod simulation;
mod stats;
mod syncer;
mod topics;

pub use broker::{Broker, Monitor, RunningBroker};
pub use config::{Advertised, BrokerConfig, GroupSettings, Limits, SyncMode, TopicDefaults};
pub use error::Error;
pub use stats::{
    CallStats, ErrorStats, GroupStats, LATENCY_BOUNDS, Latency, PartitionStats, Stats, TopicStats,
};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
