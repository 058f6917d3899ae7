//! The rows alone: computed beforehand, written as a hand would write them.

mod columns;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::{Result, ensure};
use compline_event::Topic;
use compline_readmodel::Generation;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::{sync::Mutex, task::JoinSet};
use uuid::Uuid;

use super::{
    LIMIT,
    events::{Events, Nth},
    recording::{Extent, Transaction},
};
use columns::{Ads, Counts, History};

/// One transaction's rows.
pub(super) struct Batch {
    moves: Vec<(Extent, Uuid)>,
    ads: Ads,
    history: History,
    counts: Counts,
}

/// What each of ours writes, in order.
pub(super) fn batches(events: &Events, transactions: &[Transaction]) -> Vec<Batch> {
    // How many events each ad has had: its row's version.
    let mut versions = HashMap::new();
    let batch = |extents: &Transaction| batch(events, extents, &mut versions);
    transactions.iter().map(batch).collect()
}

fn batch(events: &Events, extents: &[Extent], versions: &mut HashMap<String, i64>) -> Batch {
    let mut latest = BTreeMap::new();
    let mut history = Vec::new();
    let mut counts: BTreeMap<_, i64> = BTreeMap::new();
    let mut moves = Vec::new();
    for extent in extents {
        let numbers = events.between(extent.partition, extent.from, extent.to);
        for (offset, number) in (extent.from..).zip(numbers) {
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
                (*number, extent.partition, offset, *version),
            );
            history.push((*number, extent.partition, offset));
        }
        let last = Nth::new(numbers[numbers.len() - 1]);
        moves.push((*extent, last.event_id));
    }
    history.sort_by_cached_key(|(number, _, offset)| {
        let nth = Nth::new(*number);
        (nth.tenant, nth.ad.ad_id, *offset)
    });
    Batch {
        moves,
        ads: Ads::new(latest.into_values()),
        history: History::new(history),
        counts: Counts::new(counts),
    }
}

/// As many at once as there are connections, but those of a partition in order.
pub(super) async fn write_all(
    pool: &PgPool,
    generation: Generation,
    batches: Vec<Batch>,
) -> Result<()> {
    let mut partitions: HashMap<i32, Arc<Mutex<()>>> = HashMap::new();
    let mut writing = JoinSet::new();
    for batch in batches {
        let mut turns = Vec::new();
        for (extent, _) in &batch.moves {
            let partition = partitions.entry(extent.partition).or_default();
            turns.push(partition.clone().lock_owned().await);
        }
        let mut conn = pool.acquire().await?;
        writing.spawn(async move {
            let _turns = turns;
            write(&mut conn, generation, &batch).await
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

async fn write(conn: &mut PgConnection, generation: Generation, batch: &Batch) -> Result<()> {
    let mut tx = conn.begin().await?;
    for (extent, last_event_id) in &batch.moves {
        let Extent {
            partition,
            from,
            to,
        } = extent;
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
        .bind(last_event_id)
        .bind(from)
        .execute(&mut *tx)
        .await?;
        ensure!(
            moved.rows_affected() == 1,
            "the checkpoint is not at {from}"
        );
    }
    batch.ads.write(&mut tx).await?;
    batch.history.write(&mut tx).await?;
    batch.counts.write(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
