//! Counters of a running broker, and the snapshot that an embedder reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) requests_refused: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) batches_appended: AtomicU64,
    pub(crate) records_appended: AtomicU64,
    pub(crate) bytes_appended: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) bytes_fetched: AtomicU64,
    pub(crate) syncs: LatencyCounter,
}

#[derive(Debug, Default)]
pub(crate) struct LatencyCounter {
    total_micros: AtomicU64,
    longest_micros: AtomicU64,
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
}

impl LatencyCounter {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        self.total_micros.fetch_add(micros, Relaxed);
        self.longest_micros.fetch_max(micros, Relaxed);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    fn snapshot(&self) -> Latency {
        let buckets = std::array::from_fn(|i| self.buckets[i].load(Relaxed));
        Latency {
            count: buckets.iter().sum(),
            total: Duration::from_micros(self.total_micros.load(Relaxed)),
            longest: Duration::from_micros(self.longest_micros.load(Relaxed)),
            buckets,
        }
    }
}

impl Counters {
    /// The counters alone; the caller adds groups and topics.
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            connections: self.connections.load(Relaxed),
            connections_accepted: self.connections_accepted.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            requests: self.requests.load(Relaxed),
            requests_refused: self.requests_refused.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            batches_appended: self.batches_appended.load(Relaxed),
            records_appended: self.records_appended.load(Relaxed),
            bytes_appended: self.bytes_appended.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            bytes_fetched: self.bytes_fetched.load(Relaxed),
            syncs: self.syncs.snapshot(),
            groups: Vec::new(),
            topics: Vec::new(),
        }
    }
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
        let lags = committed.iter().map(|(key, committed)| {
            let end = server
                .topics
                .partition(&key.topic, key.partition)
                .map_or(0, |log| log.high_watermark());
            u64::try_from(end - committed.offset).unwrap_or(0)
        });
        Some(GroupStats {
            lag: lags.sum(),
            name,
            state,
            members,
        })
    });
    stats.groups = groups.collect();
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_first_bucket_that_holds_it() {
        let counter = LatencyCounter::default();
        for micros in [100, 101, 2_000_000] {
            counter.observe(Duration::from_micros(micros));
        }
        let seen = counter.snapshot();
        assert_eq!((seen.count, seen.longest), (3, Duration::from_secs(2)));
        assert_eq!(
            (seen.buckets[0], seen.buckets[1], seen.buckets[10]),
            (1, 1, 1)
        );
    }
}
