//! How far each reader is behind the log: in events, and as the age of the oldest
//! one that it has not applied.

use std::collections::BTreeMap;

use anyhow::Result;
use compline_event::{Offset, Partition, RecordId, Topic};
use compline_eventlog::Log;
use time::OffsetDateTime;

use crate::inspect::Checkpoint;

/// One reader's lag on one topic, over all its partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Lag {
    pub reader: String,
    pub generation: i32,
    pub live: bool,
    pub topic: Topic,
    pub partitions: u32,
    /// Records appended and not applied.
    pub behind: u64,
    /// Of the oldest of them; `None` when there is none.
    pub oldest_seconds: Option<f64>,
}

/// Measures `checkpoints` against the log's ends at `now`.
pub async fn measure(
    log: &Log,
    checkpoints: &[Checkpoint],
    now: OffsetDateTime,
) -> Result<Vec<Lag>> {
    let mut places: Vec<(Topic, Partition)> = checkpoints
        .iter()
        .map(|checkpoint| (checkpoint.topic, checkpoint.partition))
        .collect();
    places.sort_unstable();
    places.dedup();
    let ends: BTreeMap<(Topic, Partition), Offset> = log
        .ends(&places)
        .await?
        .into_iter()
        .map(|(topic, partition, end)| ((topic, partition), end))
        .collect();

    let mut lags: BTreeMap<(&str, i32, Topic), Lag> = BTreeMap::new();
    for checkpoint in checkpoints {
        let Checkpoint {
            reader,
            generation,
            live,
            topic,
            partition,
            next_offset,
        } = checkpoint;
        let lag = lags
            .entry((reader, *generation, *topic))
            .or_insert_with(|| Lag {
                reader: reader.clone(),
                generation: *generation,
                live: *live,
                topic: *topic,
                partitions: 0,
                behind: 0,
                oldest_seconds: None,
            });
        lag.partitions += 1;
        let end = ends.get(&(*topic, *partition)).copied();
        let behind = end.map_or(0, |end| u64::try_from(end.0 - next_offset.0).unwrap_or(0));
        if behind == 0 {
            continue;
        }
        lag.behind += behind;
        let oldest = RecordId {
            topic: *topic,
            partition: *partition,
            offset: *next_offset,
        };
        if let Some(record) = log.read_at(oldest).await? {
            let age_ms = now.unix_timestamp_nanos() / 1_000_000 - i128::from(record.timestamp_ms);
            let seconds = (age_ms.max(0) as f64) / 1000.0;
            lag.oldest_seconds = Some(lag.oldest_seconds.map_or(seconds, |age| age.max(seconds)));
        }
    }
    Ok(lags.into_values().collect())
}
