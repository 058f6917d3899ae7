//! One transaction's run: who takes part, together or each alone, and the answers.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use compline_event::Topic;
use compline_readmodel::{Lease, fault};
use futures_util::FutureExt as _;
use sqlx::PgPool;
use tokio::{sync::oneshot, time::Instant};

use super::{Submitted, Uncommitted, Waiting};
use crate::{
    batch::chain,
    commit::{self, Batch, Counts, Outcome},
    fold::Fold,
    metric,
};

/// How long a transaction waits for what has to be applied before it. What takes
/// longer is waited for by the partition alone.
const PATIENCE: Duration = Duration::from_millis(20);

/// What became of a transaction as a shared one.
#[derive(Debug)]
pub(super) enum Shared {
    Committed,
    /// Postgres gave up on it: the same with less may pass.
    TooLong,
    /// It was not shared, or each was tried alone.
    Apart,
}

/// Commits what the partitions hand over, together if that can be, and answers.
pub(super) async fn serve<F: Fold>(fold: Arc<F>, pool: PgPool, turns: Vec<Waiting>) -> Shared {
    let submitted = hold_back(&*fold, collect(turns).await).await;
    let (mut batches, replies): (Vec<_>, Vec<_>) = submitted
        .into_iter()
        .map(|each| (each.batch, each.reply))
        .unzip();
    let mut unreachable = None;
    let mut shared = Shared::Apart;
    if batches.len() > 1 {
        let began = Instant::now();
        match together(&*fold, &pool, &mut batches).await {
            Ok(counts) => {
                tell(&*fold, began, &batches, &counts);
                for ((batch, counts), reply) in batches.into_iter().zip(counts).zip(replies) {
                    let _ = reply.send(Ok((batch, Outcome::Committed(counts))));
                }
                return Shared::Committed;
            }
            Err(why) => {
                metrics::counter!(metric::UNSHARED, labels(&batches)).increment(1);
                tracing::debug!(
                    projection = fold.name(),
                    ?why,
                    "batches are tried one by one"
                );
                match why {
                    Uncommitted::TooLong(_) => shared = Shared::TooLong,
                    Uncommitted::Unreachable(reason) => unreachable = Some(reason),
                    _ => {}
                }
            }
        }
    }
    for (mut batch, reply) in batches.into_iter().zip(replies) {
        let began = Instant::now();
        let outcome = match &unreachable {
            None => alone(&*fold, &pool, &mut batch).await,
            Some(reason) => Err(Uncommitted::Unreachable(String::clone(reason))),
        };
        match &outcome {
            Ok(Outcome::Committed(counts)) => {
                tell(&*fold, began, std::slice::from_ref(&batch), &[*counts]);
            }
            // One wait for a database that is away is enough for all.
            Err(Uncommitted::Unreachable(reason)) => unreachable = Some(reason.clone()),
            _ => {}
        }
        let _ = reply.send(outcome.map(|outcome| (batch, outcome)));
    }
    shared
}

/// Gives the turns and takes what is handed over; who has left meanwhile is passed.
async fn collect(turns: Vec<Waiting>) -> Vec<Submitted> {
    let handed: Vec<_> = turns
        .into_iter()
        .filter_map(|waiting| {
            let (hand, handed) = oneshot::channel();
            waiting.turn.send(hand).is_ok().then_some(handed)
        })
        .collect();
    let mut submitted = Vec::new();
    for handed in handed {
        submitted.extend(handed.await);
    }
    submitted
}

/// Keeps what may be applied, and sends the rest back. All are of one topic; asked
/// here, once for all, because partitions read on until their turn.
async fn hold_back<F: Fold>(fold: &F, submitted: Vec<Submitted>) -> Vec<Submitted> {
    let asks = |each: &&Submitted| !each.batch.is_ready;
    let Some(topic) = submitted.iter().find(asks).map(Submitted::topic) else {
        return submitted;
    };
    let asked = AssertUnwindSafe(fold.ready(topic, &|_| {})).catch_unwind();
    let ready = tokio::time::timeout(PATIENCE, asked).await;
    if matches!(ready, Ok(Ok(Ok(())))) {
        return submitted;
    }
    let (kept, back): (Vec<_>, Vec<_>) =
        submitted.into_iter().partition(|each| each.batch.is_ready);
    for Submitted { batch, reply } in back {
        let why = match &ready {
            Ok(Ok(Err(error))) => Uncommitted::Transient(chain(error)),
            Ok(Err(_)) => Uncommitted::Panicked,
            _ => Uncommitted::Early(batch),
        };
        // Whoever asked may be gone: then the next owner reads the checkpoint.
        let _ = reply.send(Err(why));
    }
    kept
}

impl Submitted {
    fn topic(&self) -> Topic {
        self.batch.fence.place.topic
    }
}

async fn together<F: Fold>(
    fold: &F,
    pool: &PgPool,
    batches: &mut [Batch],
) -> Result<Vec<Counts>, Uncommitted> {
    let mut conn = Lease::of(pool).await?;
    let line = conn.line();
    let committed = line.heard(commit::together(&mut conn, fold, batches));
    let caught = AssertUnwindSafe(committed).catch_unwind().await;
    caught.map_err(|_| Uncommitted::Panicked)?
}

async fn alone<F: Fold>(
    fold: &F,
    pool: &PgPool,
    batch: &mut Batch,
) -> Result<Outcome, Uncommitted> {
    let mut conn = Lease::of(pool).await?;
    let line = conn.line();
    let committed = line.heard(commit::alone(&mut conn, fold, batch));
    let caught = AssertUnwindSafe(committed).catch_unwind().await;
    Ok(caught.map_err(|_| Uncommitted::Panicked)??)
}

impl From<sqlx::Error> for Uncommitted {
    fn from(error: sqlx::Error) -> Self {
        let reason = chain(&error);
        if fault::took_too_long(&error) {
            return Uncommitted::TooLong(reason);
        }
        match fault::lost_connection(&error) || matches!(error, sqlx::Error::PoolTimedOut) {
            true => Uncommitted::Unreachable(reason),
            false => Uncommitted::Transient(reason),
        }
    }
}

fn tell<F: Fold>(fold: &F, began: Instant, batches: &[Batch], counts: &[Counts]) {
    fold.committed();
    let labels = labels(batches);
    let count = |name: &'static str, of: fn(&Counts) -> usize| {
        let sum: usize = counts.iter().map(of).sum();
        let sum = u64::try_from(sum).unwrap_or(u64::MAX);
        metrics::counter!(name, labels.clone()).increment(sum);
    };
    count(metric::EVENTS, |counts| counts.applied);
    count(metric::DROPPED, |counts| counts.dropped);
    count(metric::PARKED, |counts| counts.parked);
    let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
    #[allow(clippy::cast_precision_loss)]
    metrics::histogram!(metric::BATCH_SIZE, labels.clone()).record(records as f64);
    metrics::histogram!(metric::COMMIT_SECONDS, labels).record(began.elapsed().as_secs_f64());
}

/// All are of one projection's generation.
fn labels(batches: &[Batch]) -> Vec<metrics::Label> {
    let place = batches.first().map(|batch| &batch.fence.place);
    place.map_or_else(Vec::new, |place| {
        metric::labels(&place.projection, place.generation)
    })
}
