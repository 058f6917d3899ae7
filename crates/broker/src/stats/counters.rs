//! What is counted while a broker runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kafka_protocol::error::ResponseError;

use super::{CallStats, ErrorStats, LATENCY_BOUNDS, Latency, Stats};
use crate::api;

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
    calls: Calls,
    errors: Errors,
}

/// One for each kind of requests.
#[derive(Debug)]
struct Calls([LatencyCounter; api::CALLS]);

impl Default for Calls {
    fn default() -> Self {
        Calls(std::array::from_fn(|_| LatencyCounter::default()))
    }
}

/// Kafka's error codes begin at -1; those beyond the last one known count as the one before it.
const ERRORS: usize = 140;

#[derive(Debug)]
struct Errors([AtomicU64; ERRORS]);

impl Default for Errors {
    fn default() -> Self {
        Errors(std::array::from_fn(|_| AtomicU64::new(0)))
    }
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
    /// Counts a request of the kind in this place as dealt with.
    pub(crate) fn count_call(&self, place: usize, took: Duration) {
        self.calls.0[place].observe(took);
    }

    pub(crate) fn count_errors(&self, codes: impl Iterator<Item = i16>) {
        for code in codes.filter(|code| *code != 0) {
            let place = usize::try_from(code + 1).unwrap_or(0);
            self.errors.0[place.min(ERRORS - 1)].fetch_add(1, Relaxed);
        }
    }

    fn call_stats(&self) -> Vec<CallStats> {
        let calls = self
            .calls
            .0
            .iter()
            .enumerate()
            .map(|(place, counter)| CallStats {
                name: api::call_name(place),
                took: counter.snapshot(),
            });
        calls.filter(|call| call.took.count > 0).collect()
    }

    fn error_stats(&self) -> Vec<ErrorStats> {
        let counts = self.errors.0.iter().zip(-1..);
        let counts = counts.map(|(count, code)| (code, count.load(Relaxed)));
        counts
            .filter(|(_, count)| *count > 0)
            .map(|(code, count)| ErrorStats {
                code,
                name: error_name(code),
                count,
            })
            .collect()
    }

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
            calls: self.call_stats(),
            errors: self.error_stats(),
            groups: Vec::new(),
            topics: Vec::new(),
        }
    }
}

fn error_name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        Some(error) => format!("{error:?}"),
        None => "Unknown".into(),
    }
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
