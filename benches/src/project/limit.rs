//! The rows alone: computed beforehand, written as a hand would write them.

mod columns;

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use compline_event::Topic;
use compline_readmodel::Generation;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    LIMIT,
    events::{Events, Nth},
    recording::Extent,
};
use columns::{Ads, Counts, History};

/// One transaction's rows.
pub(super) struct Batch {
    extent: Extent,
    last_event_id: Uuid,
    ads: Ads,
    history: History,
    counts: Counts,
}

/// What every batch of `extents` writes, by partition, in order.
pub(super) fn batches(events: &Events, extents: &[Extent]) -> Vec<Vec<Batch>> {
    let mut by_partition: BTreeMap<i32, Vec<Extent>> = BTreeMap::new();
    for extent in extents {
        by_partition
            .entry(extent.partition)
            .or_default()
            .push(*extent);
    }
    let of_partition = |mut extents: Vec<Extent>| {
        extents.sort_by_key(|extent| extent.from);
        // How many events each ad has had: its row's version.
        let mut versions = HashMap::new();
        let batch = |extent| batch(events, extent, &mut versions);
        extents.into_iter().map(batch).collect()
    };
    by_partition.into_values().map(of_partition).collect()
}

fn batch(events: &Events, extent: Extent, versions: &mut HashMap<String, i64>) -> Batch {
    let Extent {
        partition,
        from,
        to,
    } = extent;
    let mut latest = BTreeMap::new();
    let mut history = Vec::new();
    let mut counts: BTreeMap<_, i64> = BTreeMap::new();
    let numbers = events.between(partition, from, to);
    for (offset, number) in (from..).zip(numbers) {
        let nth = Nth::new(*number);
        let version = versions.entry(nth.ad.ad_id.clone()).or_default();
        *version += 1;
        let place = |status: &str| (nth.tenant, nth.ad.account.clone(), status.to_owned());
        if !nth.old_status.is_empty() {
            *counts.entry(place(nth.old_status)).or_default() -= 1;
        }
        *counts.entry(place(nth.new_status)).or_default() += 1;
        latest.insert(
            (nth.tenant, nth.ad.ad_id.clone()),
            (*number, offset, *version),
        );
        history.push((*number, offset));
    }
    history.sort_by_cached_key(|(number, offset)| {
        let nth = Nth::new(*number);
        (nth.tenant, nth.ad.ad_id, *offset)
    });
    Batch {
        extent,
        last_event_id: Nth::new(numbers[numbers.len() - 1]).event_id,
        ads: Ads::new(partition, latest.into_values()),
        history: History::new(partition, history),
        counts: Counts::new(counts),
    }
}

/// All partitions side by side.
pub(super) async fn write_all(
    pool: &PgPool,
    generation: Generation,
    partitions: Vec<Vec<Batch>>,
) -> Result<()> {
    let mut writing = JoinSet::new();
    for batches in partitions {
        let pool = pool.clone();
        writing.spawn(async move {
            let mut conn = pool.acquire().await?;
            for batch in &batches {
                write(&mut conn, generation, batch).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

async fn write(conn: &mut PgConnection, generation: Generation, batch: &Batch) -> Result<()> {
    let Extent {
        partition,
        from,
        to,
    } = batch.extent;
    let mut tx = conn.begin().await?;
    let moved = sqlx::query(
        "UPDATE compline.checkpoint SET next_offset = $5, last_event_id = $6
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4
           AND next_offset = $7",
    )
    .bind(LIMIT)
    .bind(generation)
    .bind(Topic::Ad.as_str())
    .bind(partition)
    .bind(to)
    .bind(batch.last_event_id)
    .bind(from)
    .execute(&mut *tx)
    .await?;
    ensure!(
        moved.rows_affected() == 1,
        "the checkpoint is not at {from}"
    );
    batch.ads.write(&mut tx).await?;
    batch.history.write(&mut tx).await?;
    batch.counts.write(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
