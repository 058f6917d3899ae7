//! What a batch writes: each table once, rows in the order of their keys.

use compline_event::AdAccountId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{join, ordinal_to_sql, version_to_sql};
use crate::{
    pending::{Claim, Pending},
    state::State,
    watch::{Span, WAIT},
};

pub(crate) async fn store(conn: &mut PgConnection, mut state: State) -> Result<(), sqlx::Error> {
    store_watches(conn, &state).await?;
    store_pending(conn, std::mem::take(&mut state.pending)).await?;
    state.tally.publish();
    let State {
        requests,
        ads,
        accounts,
        seen,
        progress,
        ..
    } = state;

    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account, request), ()) in requests.into_changed() {
        columns.0.push(tenant.as_uuid());
        columns.1.push(account.to_string());
        columns.2.push(request);
    }
    if !columns.0.is_empty() {
        sqlx::query!(
            "INSERT INTO seen_request (tenant_id, account_id, request_id)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[])",
            &columns.0,
            &columns.1,
            &columns.2,
        )
        .execute(&mut *conn)
        .await?;
    }

    let mut keys = (Vec::new(), Vec::new(), Vec::new());
    let mut told = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account, ad), row) in ads.into_changed() {
        keys.0.push(tenant.as_uuid());
        keys.1.push(account.to_string());
        keys.2.push(ad);
        told.0.push(row.status);
        told.1.push(row.changed_at);
        told.2.push(row.fetch_needed);
        told.3.push(row.alarmed);
        told.4.push(row.issues.concat());
    }
    if !keys.0.is_empty() {
        sqlx::query!(
            "INSERT INTO ad_state (tenant_id, account_id, ad_id, status, changed_at, fetch_needed, alarmed, issues)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                                  $6::boolean[], $7::boolean[], $8::bytea[])
             ON CONFLICT (tenant_id, account_id, ad_id) DO UPDATE SET
                 status = excluded.status, changed_at = excluded.changed_at,
                 fetch_needed = excluded.fetch_needed, alarmed = excluded.alarmed,
                 issues = excluded.issues",
            &keys.0, &keys.1, &keys.2, &told.0, &told.1, &told.2, &told.3, &told.4,
        )
        .execute(&mut *conn)
        .await?;
    }

    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account), row) in accounts.into_changed() {
        columns.0.push(tenant.as_uuid());
        columns.1.push(account.to_string());
        columns.2.push(row.status);
        columns.3.push(row.disable_reason);
        columns.4.push(row.changed_at);
    }
    if !columns.0.is_empty() {
        sqlx::query!(
            "INSERT INTO account_state (tenant_id, account_id, status, disable_reason, changed_at)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::timestamptz[])
             ON CONFLICT (tenant_id, account_id) DO UPDATE SET
                 status = excluded.status, disable_reason = excluded.disable_reason,
                 changed_at = excluded.changed_at",
            &columns.0, &columns.1, &columns.2, &columns.3, &columns.4,
        )
        .execute(&mut *conn)
        .await?;
    }

    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((account, at, content), row) in seen.into_changed() {
        columns.0.push(account.to_string());
        columns.1.push(at);
        columns.2.push(content.to_vec());
        columns.3.push(row.recorded_at);
        columns.4.push(row.partition.0);
    }
    if !columns.0.is_empty() {
        sqlx::query!(
            "INSERT INTO seen_change (account_id, entry_time, content_id, recorded_at, source_partition)
             SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bytea[], $4::timestamptz[], $5::integer[])
             ON CONFLICT (account_id, entry_time, content_id) DO UPDATE SET
                 recorded_at = excluded.recorded_at, source_partition = excluded.source_partition",
            &columns.0, &columns.1, &columns.2, &columns.3, &columns.4,
        )
        .execute(&mut *conn)
        .await?;
    }

    if !progress.is_empty() {
        let (partitions, reached): (Vec<i32>, Vec<OffsetDateTime>) = progress
            .into_iter()
            .map(|(partition, at)| (partition.0, at))
            .unzip();
        sqlx::query!(
            "INSERT INTO progress (source_partition, recorded_at)
             SELECT * FROM unnest($1::integer[], $2::timestamptz[])
             ON CONFLICT (source_partition) DO UPDATE SET
                 recorded_at = greatest(progress.recorded_at, excluded.recorded_at)",
            &partitions,
            &reached,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

async fn store_watches(conn: &mut PgConnection, state: &State) -> Result<(), sqlx::Error> {
    if state.changed_watches.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut accounts, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    let mut of = (Vec::new(), Vec::new(), Vec::new());
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for (tenant, account) in &state.changed_watches {
        let watch = state.watch(*tenant, account);
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        versions.push(version_to_sql(watch.version));
        for (number, span) in (0..).zip(watch.spans) {
            let Span {
                opened_at,
                closed_at,
            } = span;
            of.0.push(tenant.as_uuid());
            of.1.push(account.to_string());
            of.2.push(number);
            opened.push(opened_at);
            closed.push(closed_at);
        }
    }
    sqlx::query!(
        "INSERT INTO watch (tenant_id, account_id, version)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
         ON CONFLICT (tenant_id, account_id) DO UPDATE SET version = excluded.version",
        &tenants,
        &accounts,
        &versions,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO watch_span (tenant_id, account_id, span, opened_at, closed_at)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[])
         ON CONFLICT (tenant_id, account_id, span) DO UPDATE SET closed_at = excluded.closed_at
             WHERE watch_span.closed_at IS DISTINCT FROM excluded.closed_at",
        &of.0,
        &of.1,
        &of.2,
        &opened,
        &closed as &[Option<OffsetDateTime>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_pending(conn: &mut PgConnection, pending: Pending) -> Result<(), sqlx::Error> {
    let Pending {
        added,
        taken,
        claims,
        ..
    } = pending;
    if !taken.is_empty() {
        let mut keys = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for place in taken {
            keys.0.push(place.account.to_string());
            keys.1.push(place.partition.0);
            keys.2.push(place.offset.0);
            keys.3.push(ordinal_to_sql(place.ordinal));
        }
        sqlx::query!(
            "DELETE FROM pending USING unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[])
                 AS taken (account_id, source_partition, record_offset, ordinal)
             WHERE (pending.account_id, pending.source_partition, pending.record_offset, pending.ordinal)
                 = (taken.account_id, taken.source_partition, taken.record_offset, taken.ordinal)",
            &keys.0, &keys.1, &keys.2, &keys.3,
        )
        .execute(&mut *conn)
        .await?;
    }
    // Before what was added, which knows already whose it is.
    for claim in claims {
        store_claim(conn, claim).await?;
    }
    if added.is_empty() {
        return Ok(());
    }
    let mut keys = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rest = (
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    );
    for (place, waiting) in added {
        keys.0.push(place.account.to_string());
        keys.1.push(place.partition.0);
        keys.2.push(place.offset.0);
        keys.3.push(ordinal_to_sql(place.ordinal));
        rest.0.push(waiting.recorded_at);
        rest.1.push(waiting.event_id.as_uuid());
        rest.2.push(waiting.correlation_id.map(|id| id.as_uuid()));
        rest.3.push(waiting.traceparent);
        rest.4.push(waiting.body);
        rest.5.push(join(&waiting.owed_to));
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
        &keys.0,
        &keys.1,
        &keys.2,
        &keys.3,
        &rest.0,
        &rest.1,
        &rest.2 as &[Option<uuid::Uuid>],
        &rest.3,
        &rest.4,
        &rest.5,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A connection that found too much to apply at once.
async fn store_claim(conn: &mut PgConnection, claim: Claim) -> Result<(), sqlx::Error> {
    let account: &AdAccountId = &claim.account;
    sqlx::query!(
        "UPDATE pending SET owed_to = ARRAY[$2::uuid]
         WHERE account_id = $1 AND owed_to = '{}' AND recorded_at >= $3",
        account.as_str(),
        claim.tenant.as_uuid(),
        claim.connected_at - WAIT,
    )
    .execute(conn)
    .await?;
    Ok(())
}
