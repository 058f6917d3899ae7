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
use compline_eventlog::{Log, LogError, ReadError};
use sqlx::PgPool;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(
        "engine {engine} has told output {number} at {at}, but its database knows none above \
         {known}: the tables are older than the log; restore the newest backup, or drop the \
         database and the engine's topics' readers together"
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
    for (topic, partition, acked, known) in known(engine, pool).await? {
        let bounds = log.bounds(topic, partition).await?;
        let from = acked.next().max(bounds.start);
        if from >= bounds.end {
            continue;
        }
        let mut replay = log.replay(topic, partition, from, bounds.end)?;
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
    }
    Ok(())
}

/// Of each output partition: the last acknowledged offset, and the last number.
async fn known(
    engine: &'static str,
    pool: &PgPool,
) -> Result<Vec<(Topic, Partition, Offset, u64)>, sqlx::Error> {
    let counters = sqlx::query!(
        "SELECT topic, partition, last_number FROM engine.counter WHERE engine = $1",
        engine
    )
    .fetch_all(pool)
    .await?;
    let mut last: HashMap<_, _> = counters
        .into_iter()
        .map(|row| ((row.topic, row.partition), row.last_number))
        .collect();
    let relays = sqlx::query!(
        "SELECT topic, partition, acked_offset FROM engine.relay WHERE engine = $1
         ORDER BY topic, partition",
        engine
    )
    .fetch_all(pool)
    .await?;
    Ok(relays
        .into_iter()
        .filter_map(|row| {
            let last = last.remove(&(row.topic.clone(), row.partition))?;
            Some((
                row.topic.parse().ok()?,
                Partition(row.partition),
                Offset(row.acked_offset),
                u64::try_from(last).unwrap_or(0),
            ))
        })
        .collect())
}
