//! A parked key, applied again by today's code (protocol §4).
//!
//! | step | because |
//! |---|---|
//! | the records are read first | nothing waits for the log while something is locked |
//! | the checkpoint row is locked and not changed | no batch of the partition joins the list or applies the key meanwhile |
//! | the list is read under that lock, and what has joined it since | the list in Postgres is the truth |
//! | every record of it, in order, stored once; no mark is asked | each was taken when it was parked; locks are taken in a batch's order |
//! | the key leaves the list | in the same transaction: applied and listed is never both |
//!
//! A key's whole list is in memory meanwhile.

use std::{collections::BTreeMap, time::Duration};

use compline_event::{Offset, RecordId, Recorded};
use compline_eventlog::{Log, LogError, ReadError, Record};
use compline_readmodel::{Fault, Place, classify, fault, park::desk};
use sqlx::{Connection as _, PgConnection};

use crate::{
    batch::chain,
    fold::{Fold, PutOff},
};

/// Records of other keys that are rather read over than jumped.
const GAP: i64 = 5_000;

/// Longest that the log may take for what has joined the list at last.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a deadlock, or a lock that is not to be had, is tried again.
const TRIES: usize = 5;

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
    #[error("the log did not give the newest parked records in time")]
    SlowLog,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the parked records cannot be read")]
    Read(#[from] ReadError),
    #[error("what the fold needs beside its rows cannot be had")]
    PutOff(#[from] PutOff),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Applies the whole list of a key, or nothing of it. `conn` may write the
/// generation's rows, and has its schema.
pub async fn redrive<F: Fold>(
    conn: &mut PgConnection,
    log: &Log,
    fold: &F,
    place: &Place,
    key: &[u8],
    mode: RedriveMode,
) -> Result<Redriven, RedriveError> {
    fold.claimed().await?;
    let mut records = Listed::default();
    for tried in 1.. {
        let offsets = desk::offsets(&mut *conn, place, key).await?;
        records.read(log, place, &offsets).await?;
        match attempt(conn, log, fold, (place, key), &mut records, mode).await {
            Err(RedriveError::Database(error)) if tried < TRIES && fault::is_contention(&error) => {
            }
            done => return done,
        }
    }
    unreachable!("the last try returns")
}

async fn attempt<F: Fold>(
    conn: &mut PgConnection,
    log: &Log,
    fold: &F,
    (place, key): (&Place, &[u8]),
    records: &mut Listed,
    mode: RedriveMode,
) -> Result<Redriven, RedriveError> {
    let mut tx = conn.begin().await?;
    sqlx::query("SET LOCAL synchronous_commit = on")
        .execute(&mut *tx)
        .await?;
    let offsets = match desk::lock(&mut tx, place).await? {
        true => desk::offsets(&mut tx, place, key).await?,
        false => Vec::new(),
    };
    if offsets.is_empty() {
        return Err(RedriveError::NotParked);
    }
    let joined = records.read(log, place, &offsets);
    tokio::time::timeout(PATIENCE, joined)
        .await
        .map_err(|_| RedriveError::SlowLog)??;
    apply(&mut tx, fold, &records.of(&offsets)).await?;
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
    records: &[&Record],
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

/// The listed records, as far as they were read.
#[derive(Debug, Default)]
struct Listed {
    read: BTreeMap<Offset, Record>,
}

impl Listed {
    /// Reads what is missing of `offsets`, which are sorted.
    async fn read(
        &mut self,
        log: &Log,
        place: &Place,
        offsets: &[Offset],
    ) -> Result<(), RedriveError> {
        let is_new = |offset: &&Offset| !self.read.contains_key(offset);
        let new: Vec<Offset> = offsets.iter().filter(is_new).copied().collect();
        for near in new.chunk_by(|one, next| next.0 - one.0 <= GAP) {
            let (Some(first), Some(last)) = (near.first(), near.last()) else {
                continue;
            };
            let Place {
                topic, partition, ..
            } = *place;
            let bounds = log.bounds(topic, partition).await?;
            let from = (*first).max(bounds.start);
            let mut replay = log.replay(topic, partition, from, last.next().min(bounds.end))?;
            while let Some(records) = replay.next_batch().await? {
                let listed = |record: &Record| near.binary_search(&record.at.offset).is_ok();
                let listed = records.into_iter().filter(listed);
                self.read
                    .extend(listed.map(|record| (record.at.offset, record)));
            }
            if let Some(offset) = near.iter().find(|offset| !self.read.contains_key(offset)) {
                let at = RecordId {
                    topic,
                    partition,
                    offset: *offset,
                };
                return Err(RedriveError::Gone { at });
            }
        }
        Ok(())
    }

    /// In log order.
    fn of(&self, offsets: &[Offset]) -> Vec<&Record> {
        offsets
            .iter()
            .filter_map(|offset| self.read.get(offset))
            .collect()
    }
}
