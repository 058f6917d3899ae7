//! One READ COMMITTED transaction: fences, marks, parked keys, rows.

use compline_event::{EventId, Offset, Recorded};
use compline_eventlog::Record;
use compline_readmodel::{
    Advance, Fault, Fence, Marks, Move, Place, checkpoint, classify,
    crash::{self, Guard},
    mark, park,
};
use sqlx::{Connection as _, PgConnection};

use crate::{
    CODE_VERSION,
    batch::{Hole, Poison, Sifted, chain, sift},
    committer::Uncommitted,
    culprit,
    fold::Fold,
    trace::Traced,
};

/// Records of one partition that begin where its fence stands.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) fence: Fence,
    pub(crate) records: Vec<Record>,
    /// What has to be applied before these records has been.
    pub(crate) is_ready: bool,
}

/// What became of a batch that was committed alone.
#[derive(Debug)]
pub(crate) enum Outcome {
    Committed(Counts),
    /// The fence was not where it was remembered; nothing was written.
    FenceLost,
    Hole(Hole),
}

/// What a committed batch did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) applied: usize,
    pub(crate) dropped: usize,
    pub(crate) parked: usize,
}

/// Applies a batch and moves its fence behind it. Whatever is poison is parked on
/// the way.
///
/// # Errors
/// What is transient; the transaction was rolled back.
pub(crate) async fn alone<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    batch: &mut Batch,
) -> Result<Outcome, sqlx::Error> {
    let mut poison = Poison::new();
    loop {
        match attempt(conn, fold, std::slice::from_mut(batch), &poison).await {
            Ok(counts) => {
                for (offset, reason) in &poison {
                    tracing::warn!(projection = fold.name(), topic = %batch.fence.place.topic,
                        partition = %batch.fence.place.partition, %offset, reason,
                        "an event can never be applied, its key is parked");
                }
                return Ok(Outcome::Committed(counts[0]));
            }
            Err(Failed::FenceLost) => return Ok(Outcome::FenceLost),
            Err(Failed::Hole(hole)) => return Ok(Outcome::Hole(hole)),
            Err(Failed::Fold(found)) => poison.extend(found),
            Err(Failed::Refused(events, error)) => {
                let found = culprit::find(conn, fold, &events, &error).await?;
                poison.insert(found.offset, found.reason);
            }
            Err(Failed::Transient(error)) => return Err(error),
        }
    }
}

/// Applies batches of several partitions in one transaction, or nothing of them.
///
/// # Errors
/// Whatever is wrong with one of them; which one, they have to be tried alone for.
pub(crate) async fn together<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    batches: &mut [Batch],
) -> Result<Vec<Counts>, Uncommitted> {
    attempt(conn, fold, batches, &Poison::new())
        .await
        .map_err(|failed| match failed {
            Failed::Transient(error) => error.into(),
            Failed::FenceLost => Uncommitted::Transient("a fence was lost".to_owned()),
            Failed::Hole(hole) => Uncommitted::Transient(format!("{hole:?}")),
            Failed::Fold(poison) => Uncommitted::Transient(format!("{poison:?}")),
            // Not the events: they may be many, and somebody's.
            Failed::Refused(_, error) => Uncommitted::Transient(chain(&error)),
        })
}

/// Why nothing was written.
#[derive(Debug)]
enum Failed {
    FenceLost,
    Hole(Hole),
    /// Events cannot be read or folded.
    Fold(Poison),
    /// Postgres refused what these events say.
    Refused(Vec<Recorded>, sqlx::Error),
    Transient(sqlx::Error),
}

impl Failed {
    fn of(events: Vec<Recorded>, error: sqlx::Error) -> Self {
        match classify(&error) {
            Fault::Permanent => Failed::Refused(events, error),
            Fault::Transient => Failed::Transient(error),
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Failed::Transient(error)
    }
}

async fn attempt<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    batches: &mut [Batch],
    poison: &Poison,
) -> Result<Vec<Counts>, Failed> {
    let mut tx = conn.begin().await?;
    let mut traced = Traced::default();
    match write(&mut tx, fold, batches, poison, &mut traced).await {
        Ok(counts) => {
            crash::point("committing");
            tx.commit().await.inspect_err(|_| traced.rolled_back())?;
            crash::point("committed");
            for Batch { fence, records, .. } in batches {
                (fence.next_offset, fence.last_event_id) = end_of(records);
            }
            Ok(counts)
        }
        Err(failed) => {
            traced.rolled_back();
            tx.rollback().await?;
            Err(failed)
        }
    }
}

async fn write<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    batches: &[Batch],
    poison: &Poison,
    traced: &mut Traced,
) -> Result<Vec<Counts>, Failed> {
    let moves: Vec<Move<'_>> = batches
        .iter()
        .map(|Batch { fence, records, .. }| {
            let (to, last_event_id) = end_of(records);
            Move {
                fence,
                to,
                last_event_id,
            }
        })
        .collect();
    if checkpoint::advance(conn, &moves).await? == Advance::Lost {
        return Err(Failed::FenceLost);
    }
    crash::point("fenced");
    apart(conn, Guard::MarksWithCheckpoint).await?;
    let places: Vec<&Place> = batches.iter().map(|batch| &batch.fence.place).collect();
    let mut marks = match batches.iter().any(has_outputs) {
        true => mark::load(conn, &places).await?,
        false => vec![Marks::default(); places.len()],
    };
    let parked = park::keys(conn, &places).await?;

    let mut events = Vec::new();
    let mut counts = Vec::new();
    for ((batch, marks), parked) in batches.iter().zip(&mut marks).zip(parked) {
        let sifted = sift(&batch.records, marks, parked, poison).map_err(Failed::Hole)?;
        let applied_before = events.len();
        decode(&batch.records, &sifted, &mut events).map_err(Failed::Fold)?;
        write_parks(conn, &batch.fence.place, &sifted).await?;
        counts.push(Counts {
            applied: events.len() - applied_before,
            dropped: sifted.dropped,
            parked: sifted.newly_parked.len() + sifted.joined.len(),
        });
    }
    mark::store(conn, places.into_iter().zip(&marks)).await?;
    apart(conn, Guard::RowsWithMarks).await?;
    if events.is_empty() {
        return Ok(counts);
    }
    traced.begin(F::DOES, &batches[0].fence.place, &mut events);
    // What the fold stores comes last: an engine's counters are locked there, and
    // a lock is held until the commit.
    let mut rows = match fold.load(conn, &events).await {
        Ok(rows) => rows,
        Err(error) => return Err(Failed::of(events, error)),
    };
    for event in &events {
        crash::point("applying");
        fold.apply(&mut rows, event)
            .map_err(|error| Failed::Fold(Poison::from([(event.at.offset, error.reason)])))?;
    }
    match fold.store(conn, rows).await {
        Ok(()) => Ok(counts),
        Err(error) => Err(Failed::of(events, error)),
    }
}

/// Where the guard is off, what was written so far is committed without the rest.
async fn apart(conn: &mut PgConnection, guard: Guard) -> Result<(), sqlx::Error> {
    if crash::is_off(guard) {
        sqlx::raw_sql("COMMIT; BEGIN").execute(conn).await?;
    }
    Ok(())
}

fn has_outputs(batch: &Batch) -> bool {
    batch.records.iter().any(|record| record.stamp().is_some())
}

fn end_of(records: &[Record]) -> (Offset, Option<EventId>) {
    let last = records.last().expect("a batch has at least one record");
    (last.at.offset.next(), last.event_id())
}

/// Adds the events to apply; those that cannot be read are poison.
fn decode(records: &[Record], sifted: &Sifted, events: &mut Vec<Recorded>) -> Result<(), Poison> {
    let mut poison = Poison::new();
    for index in &sifted.apply {
        let record = &records[*index];
        match record.decode() {
            Ok(event) => events.push(event),
            Err(error) => {
                poison.insert(record.at.offset, chain(&error));
            }
        }
    }
    match poison.is_empty() {
        true => Ok(()),
        false => Err(poison),
    }
}

async fn write_parks(
    conn: &mut PgConnection,
    place: &Place,
    sifted: &Sifted,
) -> Result<(), sqlx::Error> {
    for parked in &sifted.newly_parked {
        park::park(conn, place, parked, CODE_VERSION).await?;
    }
    park::join(conn, place, &sifted.joined).await
}
