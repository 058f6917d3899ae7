//! The transactions of a fold. Batches of several partitions share one.
//!
//! A transaction costs nearly the same for one record as for a hundred, and under
//! a steady load each partition has few at a time. So while one transaction runs,
//! what the partitions bring waits, and goes together into the next. A second one
//! at the same time is worth its price only when there is enough for it.
//!
//! Sharing changes nothing that a reader could see: every fence of the shared
//! transaction holds, or nothing is written. When it fails for whatever reason,
//! each batch is committed alone, in turn, and what is wrong with one is that
//! one's alone. Who had trouble goes apart until it is over: a fence that somebody
//! holds makes one partition wait.

mod serve;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use compline_event::Topic;
use sqlx::PgPool;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    commit::{Batch, Outcome},
    fold::Fold,
};

/// Partitions that may wait before the next one has to wait to wait.
const QUEUE: usize = 256;

/// Why a batch was not committed; nothing of it was written.
#[derive(Debug)]
pub(crate) enum Uncommitted {
    /// Postgres gave up on it: the same with less may pass.
    TooLong(String),
    Transient(String),
    /// Something else has to be applied first.
    Early(Batch),
    Panicked,
}

pub(crate) type Reply = Result<(Batch, Outcome), Uncommitted>;

/// A partition that has something to commit. It goes on reading until its turn
/// comes, and then hands over all that it has.
struct Waiting {
    topic: Topic,
    records: Arc<AtomicUsize>,
    apart: bool,
    turn: oneshot::Sender<oneshot::Sender<Submitted>>,
}

#[derive(Debug)]
struct Submitted {
    batch: Batch,
    reply: oneshot::Sender<Reply>,
}

/// A partition's way to the transactions.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Waiting>,
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Queued {
    records: Arc<AtomicUsize>,
    turn: oneshot::Receiver<oneshot::Sender<Submitted>>,
}

/// The time to hand over a batch; dropping it gives the turn back.
#[derive(Debug)]
pub(crate) struct Turn(oneshot::Sender<Submitted>);

/// How transactions are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Records that are enough for a transaction.
    pub(crate) records: usize,
    /// How many transactions may run at once.
    pub(crate) at_once: usize,
    /// Least time between the starts of two that have less than enough.
    pub(crate) pace: Duration,
}

impl Committer {
    /// Runs until every clone is dropped.
    pub(crate) fn start<F: Fold>(
        fold: Arc<F>,
        pool: PgPool,
        cut: Cut,
    ) -> (Self, AbortOnDropHandle<()>) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let dispatched = dispatch(fold, pool, cut, queued);
        let running = AbortOnDropHandle::new(tokio::spawn(dispatched));
        (Self { queue }, running)
    }

    /// Queues up with `records`, of which there may be more when the turn comes.
    /// `apart` is for who had trouble last: it neither shares nor makes wait.
    pub(crate) async fn queue(
        &self,
        topic: Topic,
        records: usize,
        apart: bool,
    ) -> Result<Queued, Gone> {
        let records = Arc::new(AtomicUsize::new(records));
        let (turn, comes) = oneshot::channel();
        let waiting = Waiting {
            topic,
            records: records.clone(),
            apart,
            turn,
        };
        self.queue.send(waiting).await.map_err(|_| Gone)?;
        let turn = comes;
        Ok(Queued { records, turn })
    }
}

impl Queued {
    pub(crate) fn has(&self, records: usize) {
        self.records.store(records, Ordering::Relaxed);
    }

    /// Cancel safe.
    pub(crate) async fn turn(&mut self) -> Result<Turn, Gone> {
        (&mut self.turn).await.map(Turn).map_err(|_| Gone)
    }
}

impl Turn {
    pub(crate) async fn commit(self, batch: Batch) -> Reply {
        let gone = || Uncommitted::Transient(Gone.to_string());
        let (reply, answer) = oneshot::channel();
        let handed = self.0.send(Submitted { batch, reply });
        handed.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the committer is gone")]
pub(crate) struct Gone;

async fn dispatch<F: Fold>(
    fold: Arc<F>,
    pool: PgPool,
    cut: Cut,
    mut queued: mpsc::Receiver<Waiting>,
) {
    let mut waiting = VecDeque::new();
    let mut running = JoinSet::new();
    let mut apart = JoinSet::new();
    let mut next_start = Instant::now();
    loop {
        tokio::select! {
            next = queued.recv() => match next {
                Some(next) => waiting.push_back(next),
                None => break,
            },
            Some(_) = running.join_next() => {}
            Some(_) = apart.join_next() => {}
            () = tokio::time::sleep_until(next_start), if running.is_empty() && !waiting.is_empty() => {}
        }
        while let Ok(next) = queued.try_recv() {
            waiting.push_back(next);
        }
        while let Some(index) = waiting.iter().position(|next: &Waiting| next.apart) {
            let turn = waiting.remove(index).into_iter().collect();
            apart.spawn(serve::serve(fold.clone(), pool.clone(), turn));
        }
        while cut.is_time(&waiting, running.len(), next_start) {
            next_start = Instant::now() + cut.pace;
            let turns = cut.take(&mut waiting);
            running.spawn(serve::serve(fold.clone(), pool.clone(), turns));
        }
    }
    while running.join_next().await.is_some() {}
    while apart.join_next().await.is_some() {}
}

impl Cut {
    fn is_time(self, waiting: &VecDeque<Waiting>, running: usize, next_start: Instant) -> bool {
        let records: usize = waiting.iter().map(Waiting::records).sum();
        if records >= self.records {
            return running < self.at_once;
        }
        !waiting.is_empty() && running == 0 && next_start <= Instant::now()
    }

    /// The longest waiting and others of its topic, up to enough records; one at
    /// least. Not of two topics: one may have to wait for the other.
    fn take(self, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let mut taken: Vec<Waiting> = waiting.pop_front().into_iter().collect();
        let Some(first) = taken.first() else {
            return taken;
        };
        let (topic, mut records) = (first.topic, first.records());
        for next in std::mem::take(waiting) {
            if next.topic == topic && records + next.records() <= self.records {
                records += next.records();
                taken.push(next);
            } else {
                waiting.push_back(next);
            }
        }
        taken
    }
}

impl Waiting {
    fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }
}
