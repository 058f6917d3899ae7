//! When a transaction begins, and who takes part in it.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{
    Waiting,
    serve::{Shared, serve},
};
use crate::{fold::Fold, tempo::Tempo};

/// How transactions are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Records that are enough for a transaction.
    pub(crate) records: usize,
    /// Bytes that are enough for a transaction.
    pub(crate) bytes: usize,
    /// How many transactions may run at once.
    pub(crate) at_once: usize,
    /// Least time between the starts of two that have less than enough.
    pub(crate) pace: Duration,
}

/// A transaction that runs longer than this, behind a lock perhaps, keeps others
/// waiting no more.
const LONG: Duration = Duration::from_millis(500);

/// Runs until nobody can queue up any more.
pub(super) async fn dispatch<F: Fold>(
    fold: Arc<F>,
    pool: PgPool,
    (most, tempo): (Cut, Tempo),
    mut queued: mpsc::Receiver<Waiting>,
    grown: Arc<Notify>,
) {
    let mut cut = most;
    let mut waiting = VecDeque::new();
    let mut running = JoinSet::new();
    let mut apart = JoinSet::new();
    let mut start = Start::at(Instant::now());
    loop {
        let beside = running.len();
        cut.at_once = tempo.at_once(most.at_once);
        tokio::select! {
            next = queued.recv() => match next {
                Some(next) => waiting.push_back(next),
                None => break,
            },
            Some(ended) = running.join_next() => cut = cut.after(&ended, most),
            Some(ended) = apart.join_next() => cut = cut.after(&ended, most),
            () = grown.notified() => {}
            () = tokio::time::sleep_until(start.next(beside)),
                if !waiting.is_empty() && beside < cut.at_once => {}
        }
        while let Ok(next) = queued.try_recv() {
            waiting.push_back(next);
        }
        while let Some(index) = waiting.iter().position(|next: &Waiting| next.apart) {
            let turn = waiting.remove(index).into_iter().collect();
            apart.spawn(serve(fold.clone(), pool.clone(), turn));
        }
        while cut.is_time(&waiting, running.len(), start) {
            start = Start::after(Instant::now(), cut.pace);
            let turns = cut.take(&mut waiting);
            let served = serve(fold.clone(), pool.clone(), turns);
            running.spawn(rest_after(served, tempo.clone()));
        }
    }
    while running.join_next().await.is_some() {}
    while apart.join_next().await.is_some() {}
}

/// Who rests keeps its place meanwhile, and no other transaction begins in it.
async fn rest_after(served: impl Future<Output = Shared>, tempo: Tempo) -> Shared {
    let began = Instant::now();
    let shared = served.await;
    let ended = Instant::now();
    tokio::time::sleep(tempo.rest_after(ended - began, ended)).await;
    shared
}

/// When the next transaction that is not full may begin.
#[derive(Clone, Copy, Debug)]
struct Start {
    alone: Instant,
    beside: Instant,
}

impl Start {
    fn at(now: Instant) -> Self {
        Self {
            alone: now,
            beside: now,
        }
    }

    fn after(began: Instant, pace: Duration) -> Self {
        Self {
            alone: began + pace,
            beside: began + LONG,
        }
    }

    /// With so many others running.
    fn next(self, beside: usize) -> Instant {
        match beside {
            0 => self.alone,
            _ => self.beside,
        }
    }
}

impl Cut {
    /// A shared transaction that Postgres gives no time for is cut until it passes.
    fn after(self, ended: &Result<Shared, JoinError>, most: Self) -> Self {
        let (records, bytes) = match ended {
            Ok(Shared::TooLong) => ((self.records / 2).max(1), (self.bytes / 2).max(1)),
            Ok(Shared::Committed) => (
                self.records.saturating_mul(2).min(most.records),
                self.bytes.saturating_mul(2).min(most.bytes),
            ),
            Ok(Shared::Apart) => (self.records, self.bytes),
            Err(error) => {
                tracing::error!(%error, "a transaction's task panicked");
                (self.records, self.bytes)
            }
        };
        Self {
            records,
            bytes,
            ..self
        }
    }

    fn is_time(self, waiting: &VecDeque<Waiting>, running: usize, start: Start) -> bool {
        let Some(first) = waiting.front() else {
            return false;
        };
        let of_topic = waiting.iter().filter(|next| next.topic == first.topic);
        let (records, bytes) = of_topic.fold((0, 0), |sum, next| add(sum, next.size()));
        let is_full = records >= self.records || bytes >= self.bytes;
        running < self.at_once && (is_full || start.next(running) <= Instant::now())
    }

    /// The longest waiting and others of its topic, up to enough; one at least. Not
    /// of two topics: one may have to wait for the other.
    fn take(self, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let mut taken: Vec<Waiting> = waiting.pop_front().into_iter().collect();
        let Some(first) = taken.first() else {
            return taken;
        };
        let topic = first.topic;
        let mut sum = first.size();
        for next in std::mem::take(waiting) {
            let (records, bytes) = add(sum, next.size());
            if next.topic == topic && records <= self.records && bytes <= self.bytes {
                sum = (records, bytes);
                taken.push(next);
            } else {
                waiting.push_back(next);
            }
        }
        taken
    }
}

impl Waiting {
    /// Records, and their bytes.
    fn size(&self) -> (usize, usize) {
        let read = |number: &std::sync::atomic::AtomicUsize| number.load(Ordering::Relaxed);
        (read(&self.size.records), read(&self.size.bytes))
    }
}

fn add(one: (usize, usize), other: (usize, usize)) -> (usize, usize) {
    (one.0 + other.0, one.1 + other.1)
}

#[cfg(test)]
mod tests {
    use compline_event::Topic;
    use tokio::sync::oneshot;

    use super::*;

    const CUT: Cut = Cut {
        records: 100,
        bytes: 1_000,
        at_once: 2,
        pace: Duration::ZERO,
    };

    fn queue(sizes: &[(Topic, usize, usize)]) -> VecDeque<Waiting> {
        let waiting = |(topic, records, bytes): &(Topic, usize, usize)| Waiting {
            topic: *topic,
            size: Arc::new(super::super::Size {
                records: (*records).into(),
                bytes: (*bytes).into(),
            }),
            apart: false,
            turn: oneshot::channel().0,
        };
        sizes.iter().map(waiting).collect()
    }

    #[test]
    fn a_second_transaction_begins_only_when_it_is_full_or_the_first_takes_long() {
        let long_ago = Start::at(Instant::now());
        let just = Start::after(Instant::now(), Duration::from_secs(60));
        let little = queue(&[(Topic::Ad, 99, 10)]);
        assert!(CUT.is_time(&little, 0, long_ago));
        assert!(!CUT.is_time(&little, 0, just), "not before its pace");
        assert!(!CUT.is_time(&little, 1, just));
        assert!(CUT.is_time(&little, 1, long_ago));
        for full in [(Topic::Ad, 100, 10), (Topic::Ad, 1, 1_000)] {
            let full = queue(&[full]);
            assert!(CUT.is_time(&full, 1, just));
            assert!(!CUT.is_time(&full, 2, long_ago), "two are enough");
        }
        let mixed = queue(&[(Topic::Ad, 1, 1), (Topic::Account, 100, 1)]);
        assert!(!CUT.is_time(&mixed, 1, just), "they do not share");
        assert!(!CUT.is_time(&queue(&[]), 0, long_ago));
    }

    #[test]
    fn who_waits_longest_goes_first_and_with_its_topic() {
        let sizes = [
            (Topic::Ad, 60, 10),
            (Topic::Account, 1, 1),
            (Topic::Ad, 60, 10),
            (Topic::Ad, 40, 10),
        ];
        let mut waiting = queue(&sizes);
        let taken = CUT.take(&mut waiting);
        let sizes: Vec<_> = taken.iter().map(Waiting::size).collect();
        assert_eq!(sizes, [(60, 10), (40, 10)], "no more than is enough");
        let left: Vec<_> = waiting.iter().map(|next| next.topic).collect();
        assert_eq!(left, [Topic::Account, Topic::Ad]);

        let mut waiting = queue(&[(Topic::Ad, 500, 9_000), (Topic::Ad, 1, 1)]);
        assert_eq!(CUT.take(&mut waiting).len(), 1, "one at least");
    }
}
