//! One batch, one READ COMMITTED transaction: fence, marks, parked keys, rows.

use compline_event::Recorded;
use compline_eventlog::Record;
use compline_readmodel::{Advance, Fault, Fence, Marks, classify, park};
use sqlx::{Connection as _, PgConnection};

use crate::{
    CODE_VERSION,
    batch::{Hole, Poison, Sifted, chain, sift},
    culprit,
    fold::Fold,
};

/// What became of a batch.
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

/// Applies `records`, which begin at the fence's offset, and moves the fence
/// behind them. Whatever is poison is parked on the way.
///
/// # Errors
/// What is transient; the transaction was rolled back.
pub(crate) async fn commit<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    fence: &mut Fence,
    records: &[Record],
) -> Result<Outcome, sqlx::Error> {
    let mut poison = Poison::new();
    loop {
        match attempt(conn, fold, fence, records, &mut poison).await {
            Ok(outcome) => return Ok(outcome),
            Err(Failed::Fold) => {}
            Err(Failed::Refused(events, error)) => {
                let found = culprit::find(conn, fold, &events, &error).await?;
                tracing::warn!(
                    projection = fold.name(),
                    offset = found.offset.0,
                    reason = found.reason,
                    "an event can never be stored, its key is parked"
                );
                poison.insert(found.offset, found.reason);
            }
            Err(Failed::Transient(error)) => return Err(error),
        }
    }
}

#[derive(Debug)]
enum Failed {
    /// An event cannot be read or folded; it is in the poison now.
    Fold,
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
    fence: &mut Fence,
    records: &[Record],
    poison: &mut Poison,
) -> Result<Outcome, Failed> {
    let last = records.last().expect("a batch has at least one record");
    let (to, last_event_id) = (last.at.offset.next(), last.event_id());
    let mut tx = conn.begin().await?;
    if fence.advance(&mut tx, to, last_event_id).await? == Advance::Lost {
        tx.rollback().await?;
        return Ok(Outcome::FenceLost);
    }
    let mut marks = Marks::load(&mut tx, &fence.place).await?;
    let parked = park::keys(&mut tx, &fence.place).await?;
    let sifted = match sift(records, &mut marks, parked, poison) {
        Ok(sifted) => sifted,
        Err(hole) => {
            tx.rollback().await?;
            return Ok(Outcome::Hole(hole));
        }
    };
    let Some(events) = decode(records, &sifted, poison) else {
        tx.rollback().await?;
        return Err(Failed::Fold);
    };
    // What the fold stores comes last: an engine's counters are locked there, and
    // a lock is held until the commit.
    write_parks(&mut tx, fence, &sifted).await?;
    marks.store(&mut tx, &fence.place).await?;
    if !events.is_empty() {
        let mut rows = match fold.load(&mut tx, &events).await {
            Ok(rows) => rows,
            Err(error) => {
                tx.rollback().await?;
                return Err(Failed::of(events, error));
            }
        };
        for event in &events {
            if let Err(error) = fold.apply(&mut rows, event) {
                tracing::warn!(
                    projection = fold.name(),
                    at = %event.at,
                    event_id = %event.envelope.event_id,
                    reason = %error,
                    "an event can never be applied, its key is parked"
                );
                poison.insert(event.at.offset, error.reason);
                tx.rollback().await?;
                return Err(Failed::Fold);
            }
        }
        if let Err(error) = fold.store(&mut tx, rows).await {
            tx.rollback().await?;
            return Err(Failed::of(events, error));
        }
    }
    tx.commit().await?;

    fence.next_offset = to;
    fence.last_event_id = last_event_id;
    Ok(Outcome::Committed(Counts {
        applied: events.len(),
        dropped: sifted.dropped,
        parked: sifted.newly_parked.len() + sifted.joined.len(),
    }))
}

/// The events to apply; `None` when one cannot be read, which is poison then.
fn decode(records: &[Record], sifted: &Sifted, poison: &mut Poison) -> Option<Vec<Recorded>> {
    let mut events = Vec::with_capacity(sifted.apply.len());
    for index in &sifted.apply {
        let record = &records[*index];
        match record.decode() {
            Ok(event) => events.push(event),
            Err(error) => {
                tracing::warn!(at = %record.at, %error, "a record is no event, its key is parked");
                poison.insert(record.at.offset, chain(&error));
            }
        }
    }
    (events.len() == sifted.apply.len()).then_some(events)
}

async fn write_parks(
    conn: &mut PgConnection,
    fence: &Fence,
    sifted: &Sifted,
) -> Result<(), sqlx::Error> {
    for parked in &sifted.newly_parked {
        park::park(conn, &fence.place, parked, CODE_VERSION).await?;
    }
    park::join(conn, &fence.place, &sifted.joined).await
}
