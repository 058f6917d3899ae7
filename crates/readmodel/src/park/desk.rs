//! What is done about a parked key: looked at, applied again, or given up.

use compline_event::{Offset, Partition, TenantId};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::key_name;
use crate::checkpoint::Place;

/// A key that waits for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    pub place: Place,
    pub key: Vec<u8>,
    pub tenant: Option<TenantId>,
    /// Of the record that could not be applied.
    pub first_offset: Offset,
    pub reason: String,
    /// The build that failed.
    pub code_version: String,
    pub parked_at: OffsetDateTime,
    /// With the first one.
    pub records: i64,
}

impl ParkedKey {
    /// `topic:key`
    pub fn name(&self) -> String {
        key_name(self.place.topic.as_str(), &self.key)
    }
}

/// Every parked key of the generations that stand.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<ParkedKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT projection, generation, topic, partition, key, tenant_id, first_offset, reason,
                  code_version, parked_at,
                  (SELECT count(*) FROM compline.parked_record AS record
                   WHERE (record.projection, record.generation, record.topic, record.partition,
                          record.key)
                       = (parked.projection, parked.generation, parked.topic, parked.partition,
                          parked.key)) AS "records!"
           FROM compline.parked_key AS parked
           ORDER BY projection, generation, topic, partition, key"#
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(ParkedKey {
            place: Place {
                projection: row.projection,
                generation: row.generation,
                // Of a newer build, which knows what to do with it.
                topic: row.topic.parse().ok()?,
                partition: Partition(row.partition),
            },
            key: row.key,
            tenant: row.tenant_id.map(TenantId::new),
            first_offset: Offset(row.first_offset),
            reason: row.reason,
            code_version: row.code_version,
            parked_at: row.parked_at,
            records: row.records,
        })
    });
    Ok(known.collect())
}

/// Locks the partition's checkpoint without changing it: no batch joins the list
/// until the transaction ends. `false` when there is no such place.
pub async fn lock(conn: &mut PgConnection, place: &Place) -> Result<bool, sqlx::Error> {
    let found = sqlx::query!(
        "SELECT next_offset FROM compline.checkpoint
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4
         FOR NO KEY UPDATE",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// The offsets of a key's records, in order; none when it is not parked.
pub async fn offsets(
    conn: &mut PgConnection,
    place: &Place,
    key: &[u8],
) -> Result<Vec<Offset>, sqlx::Error> {
    let offsets = sqlx::query_scalar!(
        "SELECT record_offset FROM compline.parked_record
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND key = $5
         ORDER BY record_offset",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
        key,
    )
    .fetch_all(conn)
    .await?;
    Ok(offsets.into_iter().map(Offset).collect())
}

/// Takes a key from the list, and its records with it.
pub async fn remove(conn: &mut PgConnection, place: &Place, key: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM compline.parked_key
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND key = $5",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
        key,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a key's records up: they are never applied to this generation, and later
/// ones are. How many there were; none when it is not parked.
pub async fn discard(
    conn: &mut PgConnection,
    place: &Place,
    key: &[u8],
    reason: &str,
) -> Result<usize, sqlx::Error> {
    let mut tx = conn.begin().await?;
    lock(&mut tx, place).await?;
    let offsets = offsets(&mut tx, place, key).await?;
    let numbers: Vec<i64> = offsets.iter().map(|offset| offset.0).collect();
    sqlx::query!(
        "INSERT INTO compline.discarded_key
             (projection, generation, topic, partition, key, tenant_id, offsets, parked_for, reason)
         SELECT projection, generation, topic, partition, key, tenant_id, $6, reason, $7
         FROM compline.parked_key
         WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND key = $5",
        place.projection,
        place.generation,
        place.topic.as_str(),
        place.partition.0,
        key,
        &numbers,
        reason,
    )
    .execute(&mut *tx)
    .await?;
    remove(&mut tx, place, key).await?;
    tx.commit().await?;
    Ok(offsets.len())
}
