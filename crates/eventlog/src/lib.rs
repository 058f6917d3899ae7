//! The log, as everyone else sees it: append, read by partition, replay, look
//! after the topics. The only room that knows Kafka's client.
//!
//! ```text
//! ingress, commands, relays ─▶ Appender ─▶ LOG ─▶ GroupConsumer ─▶ PartitionReader ─▶ projectors, engines
//!                                              └▶ Replay ─▶ analysts, verifiers, recoveries
//! ```
//!
//! * An append is done when the log has it on disk: `acks=all` and an idempotent
//!   producer, always. An append that failed may still appear.
//! * A reader starts at an offset that its owner names, never at one that Kafka
//!   remembers; a place that is not there is an error, not a jump.
//! * The group decides who reads a partition and nothing else: what keeps two
//!   readers apart is the fence in Postgres.
//! * Nothing queues without a bound, on either side.
//! * It decodes nothing unless asked: what a reader must know first stands in the
//!   record's headers.

mod admin;
mod append;
mod aside;
mod client;
mod config;
mod consumer;
mod context;
pub mod copy;
mod error;
mod fetch;
mod group;
mod header;
mod log;
pub mod metric;
mod record;
mod replay;
mod topics;

pub use admin::{Difference, Finding, Mend, Survey, TopicReport};
pub use append::{Appender, AppenderConfig, Delivery, append_span};
pub use config::LogConfig;
pub use error::{AppendError, LogError, ReadError};
pub use fetch::PartitionReader;
pub use group::{Ack, Change, ConsumerConfig, GroupConsumer};
pub use header::Headers;
pub use log::{Bounds, Cluster, Log};
pub use record::Record;
pub use replay::Replay;
pub use topics::{Retention, TopicSpec};
