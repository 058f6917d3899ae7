//! The embedded log's settings: how it listens, what its clients may use up, and what a
//! topic gets whose maker does not say. `compline.default.toml` says what each is for.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use compline_broker::{Advertised, BrokerConfig};
use compline_runtime::config::{ConfigError, address, byte_size, check, duration};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than anyone waits, and far from where arithmetic ends.
const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 3600);
const GIB: usize = 1 << 30;
/// The broker counts its bytes in memory in 32 bits.
const MOST_MEMORY: usize = 4095 << 20;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSettings {
    #[serde(with = "address")]
    pub listen: SocketAddr,
    pub allow_remote: bool,
    pub advertised_host: String,
    pub data: PathBuf,
    pub sync_threads: usize,
    pub auto_create_topics: bool,
    #[serde(with = "duration")]
    pub producer_id_expiration: Duration,
    #[serde(with = "duration")]
    pub compaction_interval: Duration,
    pub topics: TopicSettings,
    pub groups: GroupSettings,
    pub limits: LimitSettings,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    pub partitions: usize,
    #[serde(deserialize_with = "time_or_forever")]
    pub retention: Option<Duration>,
    #[serde(deserialize_with = "size_or_unlimited")]
    pub retention_size: Option<u64>,
    #[serde(with = "byte_size")]
    pub segment_size: usize,
    #[serde(with = "duration")]
    pub segment_age: Duration,
    #[serde(with = "byte_size")]
    pub max_message: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    #[serde(with = "duration")]
    pub initial_rebalance_delay: Duration,
    #[serde(with = "duration")]
    pub min_session_timeout: Duration,
    #[serde(with = "duration")]
    pub max_session_timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    pub connections: usize,
    pub connections_per_address: usize,
    #[serde(with = "byte_size")]
    pub request: usize,
    #[serde(with = "byte_size")]
    pub request_memory: usize,
    #[serde(with = "byte_size")]
    pub fetch: usize,
    #[serde(with = "byte_size")]
    pub fetch_memory: usize,
    pub pipelined_requests: usize,
    #[serde(with = "duration")]
    pub idle: Duration,
    #[serde(with = "duration")]
    pub stalled: Duration,
    #[serde(with = "byte_size")]
    pub slowest_per_second: usize,
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl BrokerSettings {
    /// For a log in `data`.
    pub fn of_broker(&self, data: &Path) -> BrokerConfig {
        let mut config = BrokerConfig::new(data);
        config.bind = self.listen;
        config.allow_remote = self.allow_remote;
        if !self.advertised_host.is_empty() {
            config.advertised = Some(Advertised {
                host: self.advertised_host.clone(),
                port: 0,
            });
        }
        config.sync_threads = self.sync_threads;
        config.auto_create_topics = self.auto_create_topics;
        config.producer_id_expiration = self.producer_id_expiration;
        config.compaction_interval = self.compaction_interval;

        let (ours, topics) = (&self.topics, &mut config.topics);
        topics.partitions = i32::try_from(ours.partitions).unwrap_or(i32::MAX);
        topics.retention_ms = ours.retention.map_or(-1, millis);
        topics.retention_bytes = ours
            .retention_size
            .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        topics.segment_bytes = u32::try_from(ours.segment_size).unwrap_or(u32::MAX);
        topics.segment_ms = millis(ours.segment_age);
        topics.max_message_bytes = u32::try_from(ours.max_message).unwrap_or(u32::MAX);

        let (ours, groups) = (&self.groups, &mut config.groups);
        groups.initial_rebalance_delay = ours.initial_rebalance_delay;
        groups.min_session_timeout = ours.min_session_timeout;
        groups.max_session_timeout = ours.max_session_timeout;

        let (ours, limits) = (&self.limits, &mut config.limits);
        limits.connections = ours.connections;
        limits.connections_per_address = match ours.connections_per_address {
            0 => i32::MAX as usize,
            most => most,
        };
        limits.request_bytes = ours.request;
        limits.request_memory_bytes = ours.request_memory;
        limits.fetch_bytes = ours.fetch;
        limits.fetch_memory_bytes = ours.fetch_memory;
        limits.pipelined_requests = ours.pipelined_requests;
        limits.idle = ours.idle;
        limits.stalled = ours.stalled;
        limits.slowest_bytes_per_second = ours.slowest_per_second;
        limits.drain = ours.drain;
        config
    }

    /// What the broker itself would refuse, and what makes no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check::count("sync_threads", self.sync_threads, 1..=64)?;
        check::time(
            "producer_id_expiration",
            self.producer_id_expiration,
            SECOND..=TEN_YEARS,
        )?;
        check::time(
            "compaction_interval",
            self.compaction_interval,
            Duration::from_millis(1)..=DAY,
        )?;
        let below = |section: &'static str| move |error: ConfigError| error.below(section);
        self.topics.check().map_err(below("topics"))?;
        self.groups.check().map_err(below("groups"))?;
        self.limits.check().map_err(below("limits"))
    }
}

impl TopicSettings {
    fn check(&self) -> Result<(), ConfigError> {
        check::count("partitions", self.partitions, 1..=10_000)?;
        if let Some(time) = self.retention {
            check::time("retention", time, SECOND..=TEN_YEARS)?;
        }
        check::size("segment_size", self.segment_size, 1024..=GIB)?;
        check::time("segment_age", self.segment_age, SECOND..=TEN_YEARS)?;
        check::size("max_message", self.max_message, 1024..=GIB)
    }
}

impl GroupSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.min_session_timeout, self.max_session_timeout);
        check::time(
            "initial_rebalance_delay",
            self.initial_rebalance_delay,
            Duration::ZERO..=Duration::from_secs(300),
        )?;
        check::time("min_session_timeout", min, SECOND..=DAY)?;
        check::time("max_session_timeout", max, min..=DAY)
    }
}

impl LimitSettings {
    fn check(&self) -> Result<(), ConfigError> {
        check::count("connections", self.connections, 1..=1_000_000)?;
        let most = 1_000_000;
        check::count(
            "connections_per_address",
            self.connections_per_address,
            0..=most,
        )?;
        let memory = self.request_memory;
        check::size("request_memory", memory, 2048..=MOST_MEMORY)?;
        // The other half is for small ones.
        check::size("request", self.request, 1024..=GIB.min(memory / 2))?;
        check::size("fetch", self.fetch, 1024..=GIB)?;
        check::size("fetch_memory", self.fetch_memory, 1024..=MOST_MEMORY)?;
        check::count("pipelined_requests", self.pipelined_requests, 1..=100_000)?;
        check::time("idle", self.idle, SECOND..=TEN_YEARS)?;
        check::time("stalled", self.stalled, SECOND..=DAY)?;
        check::size("slowest_per_second", self.slowest_per_second, 1..=GIB)?;
        let drains = Duration::ZERO..=Duration::from_secs(30);
        check::time("drain", self.drain, drains)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn time_or_forever<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    if text.trim() == "forever" {
        return Ok(None);
    }
    let expected = "a duration such as 36h or 30d, or forever";
    let time = duration::parse(&text);
    let wrong = || D::Error::invalid_value(Unexpected::Str(&text), &expected);
    time.map(Some).ok_or_else(wrong)
}

fn size_or_unlimited<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    if text.trim() == "unlimited" {
        return Ok(None);
    }
    let expected = "a size such as 512MiB or 20GiB, or unlimited";
    let size = byte_size::parse(&text);
    let wrong = || D::Error::invalid_value(Unexpected::Str(&text), &expected);
    size.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_default_file_has_the_brokers_own_defaults() {
        let settings = Settings::load_from(None, []).unwrap().broker;
        let ours = settings.of_broker(Path::new("log"));
        let own = BrokerConfig::new("log");
        assert_eq!(format!("{ours:#?}"), format!("{own:#?}"));
    }
}
