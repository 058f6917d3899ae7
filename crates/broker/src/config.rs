//! What an embedder may set. Every field has a default; a bad value stops `open` and is named.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// A hundred years: longer than anyone waits, and far from where arithmetic with time ends.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Of names in DNS, bytes.
const LONGEST_HOST: usize = 255;
/// The longest time that Kafka's protocol and settings can say.
const LONGEST_SAID: Duration = Duration::from_millis(i32::MAX as u64);

/// How one broker is run.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The folder that holds everything. Made if it is missing; one broker at a time may hold it.
    pub data_dir: PathBuf,
    /// Where to listen. Port 0 takes a free one, see [`crate::Broker::local_addr`].
    /// Default: `127.0.0.1:9092`.
    pub bind: SocketAddr,
    /// What clients are told to connect to. Default: the address that was bound; it has to be said
    /// where that stands for all of them (0.0.0.0).
    pub advertised: Option<Advertised>,
    /// There is neither authentication nor encryption, so anything but a loopback address is
    /// refused unless this is true. Default: false.
    pub allow_remote: bool,
    /// The node id that clients see, ≥ 0. Default: 1.
    pub node_id: i32,
    /// When a record counts as written. Default: [`SyncMode::Group`].
    pub sync: SyncMode,
    /// Threads that sync files side by side, 1–64. Default: 6.
    pub sync_threads: usize,
    /// Whether metadata requests and producers make topics that are missing. Default: false.
    pub auto_create_topics: bool,
    /// Kafka's `producer.id.expiration.ms`: how long a partition remembers an idempotent producer
    /// that is silent, and so knows its duplicates. Default: a day.
    pub producer_id_expiration: Duration,
    /// Kafka's `log.cleaner.backoff.ms`: how often is looked for topics to compact, ≥ 1 ms.
    /// Default: 15 s.
    pub compaction_interval: Duration,
    /// What a topic gets when its creator does not say.
    pub topics: TopicDefaults,
    /// Consumer groups.
    pub groups: GroupSettings,
    /// What clients may use up.
    pub limits: Limits,
}

/// An address that clients can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// Host name or address.
    pub host: String,
    /// Port; 0 stands for the port that was bound.
    pub port: u16,
}

/// When a record counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// When it is on disk. Syncs are shared by everyone who waits.
    Group,
    /// When the kernel has it: a power loss loses acknowledged records. For benches only.
    Relaxed,
}

/// Defaults of topic settings, under Kafka's names where Kafka has one.
#[derive(Debug, Clone)]
pub struct TopicDefaults {
    /// `num.partitions`, 1–10 000. Default: 1.
    pub partitions: i32,
    /// `retention.ms`, milliseconds; -1 keeps records forever. Default: -1 (Kafka: a week).
    pub retention_ms: i64,
    /// `retention.bytes` of one partition; -1 is no limit. Default: -1.
    pub retention_bytes: i64,
    /// `segment.bytes`, 14 to 1 GiB. Default: 64 MiB (Kafka: 1 GiB); smaller ones make a start
    /// after a crash quicker, because only the last one of a partition is read again.
    pub segment_bytes: u32,
    /// `segment.ms`, milliseconds, > 0. Default: a week.
    pub segment_ms: i64,
    /// `max.message.bytes`, the largest record batch, > 0. Default: 1 MiB + 12, as Kafka's.
    pub max_message_bytes: u32,
}

/// Consumer groups, under Kafka's names. What they commit is kept until it is deleted, with the
/// group or its topic (Kafka: a week after the last member left, `offsets.retention.minutes`).
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long the first member of an empty group waits for
    /// others, 24 days at most. Default: 0 (Kafka: 3 s).
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`, ≤ `max_session_timeout`. Default: 6 s.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`. Default: 30 min.
    pub max_session_timeout: Duration,
}

/// What clients may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; one more is closed on arrival. Default: 2 000.
    pub connections: usize,
    /// Connections at once from one address; one more is closed on arrival. Default: 1 000.
    pub connections_per_address: usize,
    /// The longest request, bytes. A longer one closes its connection. Default: 100 MiB.
    pub request_bytes: usize,
    /// Bytes of requests held in memory at once, over all connections; when used up, reading
    /// waits. Half of it is for requests above 1 MiB, so it is at least twice `request_bytes`.
    /// Default: 256 MiB.
    pub request_memory_bytes: usize,
    /// The most that one fetch is answered with, whatever it asks for, and never more than an eighth
    /// of `fetch_memory_bytes`, except that one batch is always given whole. Default: 50 MiB.
    pub fetch_bytes: usize,
    /// Bytes of fetched records held in memory at once, over all connections; when used up,
    /// fetches wait. Default: 256 MiB.
    pub fetch_memory_bytes: usize,
    /// Requests of one connection that may be under way before its next one is read. Default: 64.
    pub pipelined_requests: usize,
    /// A connection that sends nothing for so long is closed, ≥ 1 ms. Default: 10 min.
    pub idle: Duration,
    /// A peer that neither goes on with a request it began nor takes any of its answer for so
    /// long is closed, ≥ 1 ms. Default: 30 s.
    pub stalled: Duration,
    /// A peer that sends a request or takes an answer more slowly than this, on the whole and
    /// after `stalled`, is closed: what it holds of the memory is others' too. Bytes per second,
    /// > 0. Default: 64 KiB.
    pub slowest_bytes_per_second: usize,
    /// How long a stop waits for answers that are under way. Default: 5 s.
    pub drain: Duration,
}

impl BrokerConfig {
    /// Defaults over the folder `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        BrokerConfig {
            data_dir: data_dir.into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)),
            advertised: None,
            allow_remote: false,
            node_id: 1,
            sync: SyncMode::Group,
            sync_threads: 6,
            auto_create_topics: false,
            producer_id_expiration: Duration::from_secs(24 * 3600),
            compaction_interval: Duration::from_secs(15),
            topics: TopicDefaults::default(),
            groups: GroupSettings::default(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let topics = &self.topics;
        let groups = &self.groups;
        let limits = &self.limits;
        let checks = [
            ("node_id", self.node_id.to_string(), self.node_id >= 0),
            (
                "sync_threads",
                self.sync_threads.to_string(),
                (1..=64).contains(&self.sync_threads),
            ),
            (
                "compaction_interval",
                format!("{:?}", self.compaction_interval),
                (Duration::from_millis(1)..=LONGEST).contains(&self.compaction_interval),
            ),
            (
                "topics.partitions",
                topics.partitions.to_string(),
                (1..=10_000).contains(&topics.partitions),
            ),
            (
                "topics.retention_ms",
                topics.retention_ms.to_string(),
                topics.retention_ms >= -1,
            ),
            (
                "topics.retention_bytes",
                topics.retention_bytes.to_string(),
                topics.retention_bytes >= -1,
            ),
            (
                "topics.segment_bytes",
                topics.segment_bytes.to_string(),
                (14..=1 << 30).contains(&topics.segment_bytes),
            ),
            (
                "topics.segment_ms",
                topics.segment_ms.to_string(),
                topics.segment_ms > 0,
            ),
            (
                "topics.max_message_bytes",
                topics.max_message_bytes.to_string(),
                topics.max_message_bytes > 0,
            ),
            (
                "groups.initial_rebalance_delay",
                format!("{:?}", groups.initial_rebalance_delay),
                groups.initial_rebalance_delay <= LONGEST_SAID,
            ),
            (
                "groups.min_session_timeout",
                format!(
                    "{:?}, which is above groups.max_session_timeout",
                    groups.min_session_timeout
                ),
                groups.min_session_timeout <= groups.max_session_timeout,
            ),
            (
                "limits.connections",
                limits.connections.to_string(),
                limits.connections > 0,
            ),
            (
                "limits.connections_per_address",
                limits.connections_per_address.to_string(),
                limits.connections_per_address > 0,
            ),
            (
                "limits.request_bytes",
                limits.request_bytes.to_string(),
                (1..=1 << 30).contains(&limits.request_bytes),
            ),
            (
                "limits.request_memory_bytes",
                limits.request_memory_bytes.to_string(),
                (2 * limits.request_bytes..=u32::MAX as usize)
                    .contains(&limits.request_memory_bytes),
            ),
            (
                "limits.fetch_bytes",
                limits.fetch_bytes.to_string(),
                (1..=1 << 30).contains(&limits.fetch_bytes),
            ),
            (
                "limits.fetch_memory_bytes",
                limits.fetch_memory_bytes.to_string(),
                (1..=u32::MAX as usize).contains(&limits.fetch_memory_bytes),
            ),
            (
                "limits.slowest_bytes_per_second",
                limits.slowest_bytes_per_second.to_string(),
                limits.slowest_bytes_per_second > 0,
            ),
            (
                "limits.pipelined_requests",
                limits.pipelined_requests.to_string(),
                limits.pipelined_requests > 0,
            ),
            (
                "limits.idle",
                format!("{:?}", limits.idle),
                (Duration::from_millis(1)..=LONGEST).contains(&limits.idle),
            ),
            (
                "limits.stalled",
                format!("{:?}", limits.stalled),
                (Duration::from_millis(1)..=LONGEST).contains(&limits.stalled),
            ),
            (
                "limits.drain",
                format!("{:?}", limits.drain),
                limits.drain <= LONGEST,
            ),
        ];
        for (key, found, ok) in checks {
            if !ok {
                return Err(Error::Config { key, found });
            }
        }
        if !self.allow_remote && !self.bind.ip().is_loopback() {
            return Err(Error::NotLoopback { bind: self.bind });
        }
        self.check_advertised()
    }

    /// Refuses an address that leads no client here, as Kafka does.
    fn check_advertised(&self) -> Result<(), Error> {
        let bad = |key, found| Err(Error::Config { key, found });
        let Some(Advertised { host, .. }) = &self.advertised else {
            return match self.bind.ip().is_unspecified() {
                true => bad(
                    "advertised",
                    format!("left out where bind is {}", self.bind),
                ),
                false => Ok(()),
            };
        };
        match host.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => bad("advertised.host", host.clone()),
            _ if !(1..=LONGEST_HOST).contains(&host.len()) => {
                bad("advertised.host", format!("of {} bytes", host.len()))
            }
            _ => Ok(()),
        }
    }
}

impl Default for TopicDefaults {
    fn default() -> Self {
        TopicDefaults {
            partitions: 1,
            retention_ms: -1,
            retention_bytes: -1,
            segment_bytes: 64 << 20,
            segment_ms: 7 * 24 * 3600 * 1000,
            max_message_bytes: (1 << 20) + 12,
        }
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            initial_rebalance_delay: Duration::ZERO,
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 2_000,
            connections_per_address: 1_000,
            request_bytes: 100 << 20,
            request_memory_bytes: 256 << 20,
            fetch_bytes: 50 << 20,
            fetch_memory_bytes: 256 << 20,
            pipelined_requests: 64,
            idle: Duration::from_secs(600),
            stalled: Duration::from_secs(30),
            slowest_bytes_per_second: 64 << 10,
            drain: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(config: &mut BrokerConfig, bind: &str, advertised: Option<&str>) {
        config.allow_remote = true;
        config.bind = bind.parse().unwrap();
        config.advertised = advertised.map(|host| Advertised {
            host: host.to_owned(),
            port: 0,
        });
    }

    #[test]
    fn values_that_make_no_sense_are_refused_and_named() {
        type Change = fn(&mut BrokerConfig);
        let changes: [(&str, Change); 14] = [
            ("compaction_interval", |c| {
                c.compaction_interval = Duration::MAX
            }),
            ("groups.initial_rebalance_delay", |c| {
                c.groups.initial_rebalance_delay = Duration::MAX;
            }),
            ("groups.min_session_timeout", |c| {
                c.groups.max_session_timeout = Duration::from_secs(5);
            }),
            ("limits.idle", |c| c.limits.idle = Duration::ZERO),
            ("limits.idle", |c| c.limits.idle = Duration::MAX),
            ("limits.stalled", |c| c.limits.stalled = Duration::ZERO),
            ("limits.stalled", |c| c.limits.stalled = Duration::MAX),
            ("limits.drain", |c| c.limits.drain = Duration::MAX),
            ("advertised", |c| remote(c, "0.0.0.0:9092", None)),
            ("advertised", |c| remote(c, "[::]:9092", None)),
            ("advertised.host", |c| {
                remote(c, "0.0.0.0:9092", Some("0.0.0.0"))
            }),
            ("advertised.host", |c| {
                remote(c, "127.0.0.1:9092", Some("::"))
            }),
            ("advertised.host", |c| remote(c, "127.0.0.1:9092", Some(""))),
            ("advertised.host", |c| {
                remote(c, "127.0.0.1:9092", Some(&"x".repeat(256)));
            }),
        ];
        for (expected, change) in changes {
            let mut config = BrokerConfig::new("log");
            change(&mut config);
            match config.check() {
                Err(Error::Config { key, .. }) => assert_eq!(key, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        let mut config = BrokerConfig::new("log");
        remote(&mut config, "0.0.0.0:9092", Some("log.example"));
        // Nobody waits, neither for members nor for answers.
        config.groups.initial_rebalance_delay = Duration::ZERO;
        config.limits.drain = Duration::ZERO;
        config.check().unwrap();
    }
}
