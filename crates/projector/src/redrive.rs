//! A parked key, applied again by today's code (protocol §4).
//!
//! | step | because |
//! |---|---|
//! | the checkpoint row is locked and not changed | no batch of the partition joins the list or applies the key meanwhile |
//! | the list is read under that lock | the list in Postgres is the truth |
//! | every record of it, in order; no mark is asked | each was taken when it was parked |
//! | the key leaves the list | in the same transaction: applied and listed is never both |

use compline_event::{Offset, RecordId, Recorded};
use compline_eventlog::{Log, LogError, ReadError, Record};
use compline_readmodel::{Fault, Place, classify, park::desk};
use sqlx::{Connection as _, PgConnection};

use crate::{
    batch::chain,
    fold::{Fold, PutOff},
};

/// Records that are decoded, folded and stored at once.
const CHUNK: usize = 500;

/// Records of other keys that are rather read over than jumped.
const GAP: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedriveMode {
    Apply,
    /// Everything but the commit.
    Try,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redriven {
    pub records: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    #[error("this key is not parked")]
    NotParked,
    #[error("the record at {at} still cannot be applied: {reason}")]
    Refused { at: RecordId, reason: String },
    #[error("the record at {at} is not in the log any more")]
    Gone { at: RecordId },
    #[error("reading the parked records")]
    Log(#[from] LogError),
    #[error("reading the parked records")]
    Read(#[from] ReadError),
    #[error("what the fold needs beside its rows")]
    PutOff(#[from] PutOff),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Applies the whole list of a key, or nothing of it. `conn` has the writer's role
/// and the generation's schema.
pub async fn redrive<F: Fold>(
    conn: &mut PgConnection,
    log: &Log,
    fold: &F,
    place: &Place,
    key: &[u8],
    mode: RedriveMode,
) -> Result<Redriven, RedriveError> {
    fold.claimed().await?;
    let mut tx = conn.begin().await?;
    if !desk::lock(&mut tx, place).await? {
        return Err(RedriveError::NotParked);
    }
    let offsets = desk::offsets(&mut tx, place, key).await?;
    if offsets.is_empty() {
        return Err(RedriveError::NotParked);
    }
    let mut records = Listed::new(log, place, &offsets);
    while let Some(chunk) = records.next_chunk().await? {
        apply(&mut tx, fold, &chunk).await?;
    }
    match mode {
        RedriveMode::Try => tx.rollback().await?,
        RedriveMode::Apply => {
            desk::remove(&mut tx, place, key).await?;
            tx.commit().await?;
            fold.committed();
        }
    }
    Ok(Redriven {
        records: offsets.len(),
    })
}

async fn apply<F: Fold>(
    conn: &mut PgConnection,
    fold: &F,
    records: &[Record],
) -> Result<(), RedriveError> {
    let refused = |at: RecordId, reason: String| RedriveError::Refused { at, reason };
    let events = records
        .iter()
        .map(|record| {
            let decoded = record.decode();
            decoded.map_err(|error| refused(record.at, chain(&error)))
        })
        .collect::<Result<Vec<Recorded>, _>>()?;
    // Of a refusal by Postgres it is known that it is one of these.
    let first = records.first().map(|record| record.at);
    let of_postgres = |error: sqlx::Error| match (classify(&error), first) {
        (Fault::Permanent, Some(at)) => refused(at, chain(&error)),
        _ => error.into(),
    };
    let mut rows = fold.load(conn, &events).await.map_err(of_postgres)?;
    for event in &events {
        fold.apply(&mut rows, event)
            .map_err(|error| refused(event.at, error.reason))?;
    }
    fold.store(conn, rows).await.map_err(of_postgres)
}

/// The listed records, read from the log in order.
struct Listed<'a> {
    log: &'a Log,
    place: &'a Place,
    left: &'a [Offset],
}

impl<'a> Listed<'a> {
    fn new(log: &'a Log, place: &'a Place, offsets: &'a [Offset]) -> Self {
        Self {
            log,
            place,
            left: offsets,
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Vec<Record>>, RedriveError> {
        let count = together(self.left);
        let (wanted, left) = self.left.split_at(count);
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(None);
        };
        let Place {
            topic, partition, ..
        } = *self.place;
        let gone = |offset: Offset| RedriveError::Gone {
            at: RecordId {
                topic,
                partition,
                offset,
            },
        };
        let bounds = self.log.bounds(topic, partition).await?;
        if *first < bounds.start || *last >= bounds.end {
            return Err(gone(*first));
        }
        let mut found = Vec::with_capacity(count);
        let mut replay = self.log.replay(topic, partition, *first, last.next())?;
        while let Some(records) = replay.next_batch().await? {
            let listed = |record: &Record| wanted.binary_search(&record.at.offset).is_ok();
            found.extend(records.into_iter().filter(listed));
        }
        let is_there = |offset: &&Offset| found.iter().any(|record| record.at.offset == **offset);
        if let Some(missing) = wanted.iter().find(|offset| !is_there(offset)) {
            return Err(gone(*missing));
        }
        self.left = left;
        Ok(Some(found))
    }
}

/// How many of the next offsets are read in one go.
fn together(offsets: &[Offset]) -> usize {
    let near = offsets
        .windows(2)
        .take_while(|pair| pair[1].0 - pair[0].0 <= GAP)
        .count();
    (near + 1).min(CHUNK).min(offsets.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_near_is_read_together() {
        let of = |offsets: &[i64]| {
            let offsets: Vec<Offset> = offsets.iter().copied().map(Offset).collect();
            together(&offsets)
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[7]), 1);
        assert_eq!(of(&[7, 8, 5_000, 10_001, 10_002]), 3);
        assert_eq!(of(&(0..10_000).collect::<Vec<_>>()), CHUNK);
    }
}
