//! The transactions of a fold. Batches of several partitions share one.
//!
//! A transaction costs nearly the same for one record as for a hundred, and under
//! a steady load each partition has few at a time. So while one transaction runs,
//! what the partitions bring waits, and goes together into the next. A second one
//! at the same time is worth its price only when there is enough for it, or when the
//! first one takes long.
//!
//! Sharing changes nothing that a reader could see: every fence of the shared
//! transaction holds, or nothing is written. When it fails for whatever reason,
//! each batch is committed alone, in turn, and what is wrong with one is that
//! one's alone. Who had trouble goes apart until it is over: a fence that somebody
//! holds makes one partition wait.

mod dispatch;
mod serve;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use compline_event::Topic;
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use dispatch::Cut;

use crate::{
    commit::{Batch, Outcome},
    fold::Fold,
    tempo::Tempo,
};

/// Partitions that may wait before the next one has to wait to wait.
const QUEUE: usize = 256;

/// Why a batch was not committed; nothing of it was written.
#[derive(Debug)]
pub(crate) enum Uncommitted {
    /// Postgres gave up on it: the same with less may pass.
    TooLong(String),
    Transient(String),
    /// There is no way to Postgres, for no batch.
    Unreachable(String),
    /// Something else has to be applied first.
    Early(Batch),
    Panicked,
}

pub(crate) type Reply = Result<(Batch, Outcome), Uncommitted>;

/// A partition's way to the transactions.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Waiting>,
    grown: Arc<Notify>,
}

/// A partition that has something to commit. It goes on reading until its turn
/// comes, and then hands over all that it has.
#[derive(Debug)]
struct Waiting {
    topic: Topic,
    size: Arc<Size>,
    /// It neither shares nor makes others wait.
    apart: bool,
    turn: oneshot::Sender<oneshot::Sender<Submitted>>,
}

#[derive(Debug)]
struct Submitted {
    batch: Batch,
    reply: oneshot::Sender<Reply>,
}

/// How much a partition has read by now.
#[derive(Debug, Default)]
struct Size {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place in the queue; dropping it leaves it.
#[derive(Debug)]
pub(crate) struct Queued {
    size: Arc<Size>,
    grown: Arc<Notify>,
    turn: oneshot::Receiver<oneshot::Sender<Submitted>>,
}

/// The time to hand over a batch; dropping it gives the turn back.
#[derive(Debug)]
pub(crate) struct Turn(oneshot::Sender<Submitted>);

#[derive(Debug, thiserror::Error)]
#[error("the committer is gone")]
pub(crate) struct Gone;

impl Committer {
    /// Runs until every clone is dropped.
    pub(crate) fn start<F: Fold>(
        fold: Arc<F>,
        pool: PgPool,
        cut: Cut,
        tempo: Tempo,
    ) -> (Self, AbortOnDropHandle<()>) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let grown = Arc::new(Notify::new());
        let dispatched = dispatch::dispatch(fold, pool, (cut, tempo), queued, grown.clone());
        let running = AbortOnDropHandle::new(tokio::spawn(dispatched));
        (Self { queue, grown }, running)
    }

    /// `apart` is for who had trouble last.
    pub(crate) async fn queue(&self, topic: Topic, apart: bool) -> Result<Queued, Gone> {
        let size = Arc::new(Size::default());
        let (turn, comes) = oneshot::channel();
        let waiting = Waiting {
            topic,
            size: size.clone(),
            apart,
            turn,
        };
        self.queue.send(waiting).await.map_err(|_| Gone)?;
        Ok(Queued {
            size,
            grown: self.grown.clone(),
            turn: comes,
        })
    }
}

impl Queued {
    /// Tells how much there is by now.
    pub(crate) fn has(&self, records: usize, bytes: usize) {
        self.size.records.store(records, Ordering::Relaxed);
        self.size.bytes.store(bytes, Ordering::Relaxed);
        self.grown.notify_one();
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
