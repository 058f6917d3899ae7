//! An embedded, single-node, durable log that any Kafka client takes for Kafka.

mod broker;
mod config;
mod error;
mod stats;

pub use broker::{Broker, Monitor, RunningBroker};
pub use config::{Advertised, BrokerConfig, GroupSettings, Limits, SyncMode, TopicDefaults};
pub use error::Error;
pub use stats::{GroupStats, LATENCY_BOUNDS, Latency, PartitionStats, Stats, TopicStats};
