//! Counters of a running broker, and the snapshot that an embedder reads.

mod counters;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use counters::Counters;

use crate::server::Server;

/// What a broker has done since it was opened, and what it holds now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Connections open now.
    pub connections: u64,
    /// Connections taken since the start.
    pub connections_accepted: u64,
    /// Connections closed on arrival because there were too many.
    pub connections_refused: u64,
    /// Requests read.
    pub requests: u64,
    /// Requests that closed their connection: too long, unreadable, unknown.
    pub requests_refused: u64,
    /// Bytes read from clients, with framing.
    pub bytes_in: u64,
    /// Bytes written to clients, with framing.
    pub bytes_out: u64,
    /// Record batches appended, duplicates left out.
    pub batches_appended: u64,
    /// Records appended.
    pub records_appended: u64,
    /// Bytes of record batches appended.
    pub bytes_appended: u64,
    /// Batches that were there already and were answered with their first offset.
    pub duplicates: u64,
    /// Bytes of record batches fetched.
    pub bytes_fetched: u64,
    /// Syncs of the log.
    pub syncs: Latency,
    /// Requests that were dealt with, by kind; only kinds that came.
    pub calls: Vec<CallStats>,
    /// Errors that answers told of, by code. Not all of them are failures: a group that is called
    /// together is told so by an error.
    pub errors: Vec<ErrorStats>,
    /// Consumer groups known, with members or with offsets only.
    pub groups: Vec<GroupStats>,
    /// Topics, by name.
    pub topics: Vec<TopicStats>,
}

/// Counts of durations. `buckets[i]` counts those of at most [`LATENCY_BOUNDS`]`[i]`, not
/// cumulated; the last bucket counts the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latency {
    pub count: u64,
    pub total: Duration,
    pub longest: Duration,
    pub buckets: [u64; LATENCY_BOUNDS.len() + 1],
}

/// Upper bounds of the buckets of [`Latency`].
pub const LATENCY_BOUNDS: [Duration; 10] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// One kind of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct CallStats {
    /// As Kafka calls it: Produce, Fetch, …
    pub name: String,
    /// From the moment when it had been read until its answer was ready to be written. A fetch
    /// that waits for records and a join that waits for others take as long as they wait.
    pub took: Latency,
}

/// How often one error was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorStats {
    /// Kafka's number for it.
    pub code: i16,
    pub name: String,
    pub count: u64,
}

/// One consumer group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStats {
    pub name: String,
    /// Empty, PreparingRebalance, CompletingRebalance or Stable.
    pub state: &'static str,
    pub members: usize,
    /// Records below the high watermark that the group has not committed, over the partitions it
    /// has committed anything of.
    pub lag: u64,
    /// The same by topic.
    pub lag_by_topic: BTreeMap<String, u64>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicStats {
    pub name: String,
    pub partitions: Vec<PartitionStats>,
}

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStats {
    /// The first offset that is kept.
    pub start_offset: i64,
    /// The offset after the last one that is synced.
    pub high_watermark: i64,
    /// Bytes of its segments.
    pub bytes: u64,
    pub segments: usize,
}

/// Everything of a broker, now.
pub(crate) fn collect(server: &Server) -> Stats {
    let mut stats = server.counters.snapshot();
    let topics = server.topics.all().into_iter().map(|topic| TopicStats {
        name: topic.name.to_string(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| partition.stats())
            .collect(),
    });
    stats.topics = topics.collect();
    let groups = server.coordinator.names().into_iter().filter_map(|name| {
        let (state, members) = server
            .coordinator
            .view(&name, |group| (group.state(), group.members().len()))?;
        let (committed, _) = server.coordinator.offsets.of_group(&name);
        let mut lag_by_topic = BTreeMap::new();
        for (key, committed) in committed {
            let end = server
                .topics
                .partition(&key.topic, key.partition)
                .map_or(0, |log| log.high_watermark());
            // What is committed is the client's to say: any number.
            let behind = u64::try_from(end.saturating_sub(committed.offset)).unwrap_or(0);
            let lag: &mut u64 = lag_by_topic.entry(key.topic).or_default();
            *lag = lag.saturating_add(behind);
        }
        Some(GroupStats {
            lag: (lag_by_topic.values()).fold(0, |sum: u64, lag| sum.saturating_add(*lag)),
            lag_by_topic,
            name,
            state,
            members,
        })
    });
    stats.groups = groups.collect();
    stats
}
