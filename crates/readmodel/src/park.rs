//! Keys set aside because an event of theirs cannot be applied (protocol §4).
//!
//! The list in Postgres is the truth: a parked key's later records join it in the
//! transaction of their batch, so that a redrive has them all, in order.

pub mod desk;

use std::collections::HashSet;

use compline_event::{EventId, Offset, Partition, TenantId, Topic};
use sqlx::PgConnection;

use crate::{
    checkpoint::{Place, Places},
    generation::Generation,
};

/// One record that waits for a redrive.
#[derive(Clone, Debug)]
pub struct ParkedRecord {
    pub key: Vec<u8>,
    pub offset: Offset,
    pub event_id: Option<EventId>,
}

/// A key that is parked by this record.
#[derive(Clone, Debug)]
pub struct NewlyParked {
    pub record: ParkedRecord,
    pub tenant: Option<TenantId>,
    pub reason: String,
}

/// How people are told of a parked key: `topic:key`, and `topic:0x…` when it is no text.
pub fn key_name(topic: &str, key: &[u8]) -> String {
    if let Ok(key) = std::str::from_utf8(key) {
        return format!("{topic}:{key}");
    }
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{topic}:0x{hex}")
}

/// The keys that are parked at places of one projection's generation, in the
/// order of `places`. Read in the batch's transaction, after the fence, and never
/// kept: a redrive may have taken one away since.
pub async fn keys(
    conn: &mut PgConnection,
    places: &[&Place],
) -> Result<Vec<HashSet<Vec<u8>>>, sqlx::Error> {
    let of = Places::of(places);
    let rows = sqlx::query!(
        "SELECT topic, partition, key FROM compline.parked_key
         JOIN UNNEST($3::text[], $4::int[]) AS place (topic, partition) USING (topic, partition)
         WHERE projection = $1 AND generation = $2",
        of.projection,
        of.generation,
        &of.topics,
        &of.partitions,
    )
    .fetch_all(conn)
    .await?;
    let mut keys = vec![HashSet::new(); places.len()];
    for row in rows {
        if let Some(index) = of.index(&row.topic, row.partition) {
            keys[index].insert(row.key);
        }
    }
    Ok(keys)
}

/// How many keys of a generation are parked now, by partition; those without are
/// left out.
pub async fn counts(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Vec<(Topic, Partition, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT topic, partition, count(*) AS "keys!" FROM compline.parked_key
           WHERE projection = $1 AND generation = $2 GROUP BY topic, partition"#,
        projection,
        generation,
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        let topic = row.topic.parse().ok()?;
        Some((topic, Partition(row.partition), row.keys))
    });
    Ok(known.collect())
}

/// Parks a key from `parked.record` on. `code_version` is the build that failed.
pub async fn park(
    conn: &mut PgConnection,
    place: &Place,
    parked: &NewlyParked,
    code_version: &str,
) -> Result<(), sqlx::Error> {
    // Postgres refuses the NUL character in text, and what failed may well be
    // because of one.
    let reason = parked.reason.replace('\0', "\u{fffd}");
    sqlx::query!(
        "INSERT INTO compline.parked_key
             (projection, generation, topic, partition, key, tenant_id, first_offset, reason, code_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
        parked.record.key,
        parked.tenant.map(TenantId::as_uuid),
        parked.record.offset.0,
        reason,
        code_version,
    )
    .execute(&mut *conn)
    .await?;
    join(conn, place, std::slice::from_ref(&parked.record)).await
}

/// Adds records to the lists of keys that are parked already.
pub async fn join(
    conn: &mut PgConnection,
    place: &Place,
    records: &[ParkedRecord],
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let keys: Vec<Vec<u8>> = records.iter().map(|record| record.key.clone()).collect();
    let offsets: Vec<i64> = records.iter().map(|record| record.offset.0).collect();
    let event_ids: Vec<Option<uuid::Uuid>> = records
        .iter()
        .map(|record| record.event_id.map(EventId::as_uuid))
        .collect();
    sqlx::query!(
        "INSERT INTO compline.parked_record
             (projection, generation, topic, partition, key, record_offset, event_id)
         SELECT $1, $2, $3, $4, key, record_offset, event_id
         FROM UNNEST($5::bytea[], $6::bigint[], $7::uuid[]) AS parked (key, record_offset, event_id)
         ORDER BY key, record_offset",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
        &keys,
        &offsets,
        &event_ids as &[Option<uuid::Uuid>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
