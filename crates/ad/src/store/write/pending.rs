//! The changes that wait: those that were applied go, those that came are kept.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    pending::{Claim, Pending, Place, Waiting},
    store::{join, ordinal_to_sql},
    watch::WAIT,
};

pub(super) async fn store(conn: &mut PgConnection, pending: Pending) -> Result<(), sqlx::Error> {
    let Pending {
        added,
        taken,
        claims,
        ..
    } = pending;
    remove(conn, taken).await?;
    // Before what was added, which knows already whose it is.
    for claim in claims {
        owe(conn, claim).await?;
    }
    add(conn, added).await
}

async fn remove(conn: &mut PgConnection, taken: BTreeSet<Place>) -> Result<(), sqlx::Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let (mut accounts, mut partitions) = (Vec::new(), Vec::new());
    let (mut offsets, mut ordinals) = (Vec::new(), Vec::new());
    for place in taken {
        accounts.push(place.account.to_string());
        partitions.push(place.partition.0);
        offsets.push(place.offset.0);
        ordinals.push(ordinal_to_sql(place.ordinal));
    }
    sqlx::query!(
        "DELETE FROM pending
         USING unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[])
             AS taken (account_id, source_partition, record_offset, ordinal)
         WHERE pending.account_id = taken.account_id
             AND pending.source_partition = taken.source_partition
             AND pending.record_offset = taken.record_offset
             AND pending.ordinal = taken.ordinal",
        &accounts,
        &partitions,
        &offsets,
        &ordinals,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A connection that found too much to apply at once.
async fn owe(conn: &mut PgConnection, claim: Claim) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE pending SET owed_to = ARRAY[$2::uuid]
         WHERE account_id = $1 AND owed_to = '{}' AND recorded_at >= $3",
        claim.account.as_str(),
        claim.tenant.as_uuid(),
        claim.connected_at - WAIT,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn add(conn: &mut PgConnection, added: BTreeMap<Place, Waiting>) -> Result<(), sqlx::Error> {
    if added.is_empty() {
        return Ok(());
    }
    let (mut accounts, mut partitions) = (Vec::new(), Vec::new());
    let (mut offsets, mut ordinals, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut correlations) = (Vec::new(), Vec::new());
    let (mut traces, mut bodies, mut owed) = (Vec::new(), Vec::new(), Vec::new());
    for (place, waiting) in added {
        accounts.push(place.account.to_string());
        partitions.push(place.partition.0);
        offsets.push(place.offset.0);
        ordinals.push(ordinal_to_sql(place.ordinal));
        recorded.push(waiting.recorded_at);
        events.push(waiting.event_id.as_uuid());
        correlations.push(waiting.correlation_id.map(|id| id.as_uuid()));
        traces.push(waiting.traceparent);
        bodies.push(waiting.body);
        owed.push(join(&waiting.owed_to));
    }
    sqlx::query!(
        "INSERT INTO pending (account_id, source_partition, record_offset, ordinal, recorded_at,
                              event_id, correlation_id, traceparent, body, owed_to)
         SELECT account_id, source_partition, record_offset, ordinal, recorded_at, event_id,
                correlation_id, traceparent, body, string_to_array(owed_to, ',')::uuid[]
         FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::timestamptz[],
                     $6::uuid[], $7::uuid[], $8::text[], $9::bytea[], $10::text[])
             AS added (account_id, source_partition, record_offset, ordinal, recorded_at, event_id,
                       correlation_id, traceparent, body, owed_to)",
        &accounts,
        &partitions,
        &offsets,
        &ordinals,
        &recorded,
        &events,
        &correlations as &[Option<Uuid>],
        &traces,
        &bodies,
        &owed,
    )
    .execute(conn)
    .await?;
    Ok(())
}
