//! Before an engine decides anything: does its database know all that it has
//! told?
//!
//! Tables that were dropped, restored from a backup or failed over are older than
//! the log. An engine that went on from there would number its outputs anew, and
//! every reader would drop them as repeats. So the log behind the last
//! acknowledged offset is read for outputs with a number that was never drawn
//! here, and any such output stops the engine.

use std::collections::HashMap;

use compline_event::{Offset, Partition, RecordId, Topic};
use compline_eventlog::{Log, LogError, ReadError, Replay};
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(
        "engine {engine} has told output {number} at {at}, but its database knows none above \
         {known}: the tables are older than the log. Restore a newer backup; an engine cannot \
         recover from the log alone yet"
    )]
    TablesOlderThanLog {
        engine: &'static str,
        at: RecordId,
        number: u64,
        known: u64,
    },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Reads each output partition from the last acknowledged offset to its end.
pub(crate) async fn check(
    engine: &'static str,
    log: &Log,
    pool: &PgPool,
) -> Result<(), RecoveryError> {
    let acked = acknowledged(engine, pool).await?;
    let places: Vec<_> = acked.keys().copied().collect();
    let mut ends = Vec::with_capacity(places.len());
    for (topic, partition) in places {
        ends.push((topic, partition, log.bounds(topic, partition).await?));
    }
    // After the ends: a number is drawn before its output is appended, so whatever
    // stands below an end was drawn by now, though another process relays.
    let drawn = drawn(engine, pool).await?;
    for (topic, partition, bounds) in ends {
        let from = acked[&(topic, partition)].next().max(bounds.start);
        let known = drawn.get(&(topic, partition)).copied().unwrap_or(0);
        if from < bounds.end {
            let replay = log.replay(topic, partition, from, bounds.end)?;
            check_partition(engine, replay, known).await?;
        }
    }
    Ok(())
}

async fn check_partition(
    engine: &'static str,
    mut replay: Replay,
    known: u64,
) -> Result<(), RecoveryError> {
    while let Some(records) = replay.next_batch().await? {
        for record in records {
            let Some(stamp) = record.stamp().filter(|stamp| stamp.producer == engine) else {
                continue;
            };
            if stamp.number > known {
                return Err(RecoveryError::TablesOlderThanLog {
                    engine,
                    at: record.at,
                    number: stamp.number,
                    known,
                });
            }
        }
    }
    Ok(())
}

/// The last acknowledged offset of each output partition.
async fn acknowledged(
    engine: &'static str,
    pool: &PgPool,
) -> Result<HashMap<(Topic, Partition), Offset>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, partition, acked_offset FROM engine.relay WHERE engine = $1",
        engine
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            Some((place, Offset(row.acked_offset)))
        })
        .collect())
}

/// The last number drawn for each output partition.
async fn drawn(
    engine: &'static str,
    pool: &PgPool,
) -> Result<HashMap<(Topic, Partition), u64>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, partition, last_number FROM engine.counter WHERE engine = $1",
        engine
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            Some((place, u64::try_from(row.last_number).unwrap_or(0)))
        })
        .collect())
}
