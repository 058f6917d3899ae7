//! What a batch writes: each table once, rows in the order of their keys.

mod pending;

use std::collections::BTreeMap;

use compline_event::Partition;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::version_to_sql;
use crate::state::{Account, AccountKey, Ad, AdKey, RequestKey, Seen, SeenKey, State};

pub(crate) async fn store(conn: &mut PgConnection, state: State) -> Result<(), sqlx::Error> {
    store_watches(conn, &state).await?;
    let State {
        requests,
        ads,
        accounts,
        seen,
        progress,
        pending,
        tally,
        ..
    } = state;
    store_requests(conn, requests.into_changed()).await?;
    store_ads(conn, ads.into_changed()).await?;
    store_accounts(conn, accounts.into_changed()).await?;
    store_seen(conn, seen.into_changed()).await?;
    store_progress(conn, progress).await?;
    pending::store(conn, pending).await?;
    tally.publish();
    Ok(())
}

async fn store_watches(conn: &mut PgConnection, state: &State) -> Result<(), sqlx::Error> {
    if state.changed_watches.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut accounts, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut span_tenants, mut span_accounts, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for (tenant, account) in &state.changed_watches {
        let watch = state.watch(*tenant, account);
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        versions.push(version_to_sql(watch.version));
        for (number, span) in (0_i32..).zip(watch.spans) {
            span_tenants.push(tenant.as_uuid());
            span_accounts.push(account.to_string());
            spans.push(number);
            opened.push(span.opened_at);
            closed.push(span.closed_at);
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
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[],
                              $5::timestamptz[])
         ON CONFLICT (tenant_id, account_id, span) DO UPDATE SET closed_at = excluded.closed_at
             WHERE watch_span.closed_at IS DISTINCT FROM excluded.closed_at",
        &span_tenants,
        &span_accounts,
        &spans,
        &opened,
        &closed as &[Option<OffsetDateTime>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_requests(
    conn: &mut PgConnection,
    rows: Vec<(RequestKey, ())>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut accounts, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account, request), ()) in rows {
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        requests.push(request);
    }
    sqlx::query!(
        "INSERT INTO seen_request (tenant_id, account_id, request_id)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[])",
        &tenants,
        &accounts,
        &requests,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_ads(conn: &mut PgConnection, rows: Vec<(AdKey, Ad)>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut accounts, mut ads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut statuses, mut changed) = (Vec::new(), Vec::new());
    let (mut to_fetch, mut alarmed, mut issues) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account, ad), row) in rows {
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        ads.push(ad);
        statuses.push(row.status);
        changed.push(row.changed_at);
        to_fetch.push(row.fetch_needed);
        alarmed.push(row.alarmed);
        issues.push(row.issues.concat());
    }
    sqlx::query!(
        "INSERT INTO ad_state (tenant_id, account_id, ad_id, status, changed_at, fetch_needed,
                               alarmed, issues)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                              $6::boolean[], $7::boolean[], $8::bytea[])
         ON CONFLICT (tenant_id, account_id, ad_id) DO UPDATE SET
             status = excluded.status, changed_at = excluded.changed_at,
             fetch_needed = excluded.fetch_needed, alarmed = excluded.alarmed,
             issues = excluded.issues",
        &tenants,
        &accounts,
        &ads,
        &statuses,
        &changed,
        &to_fetch,
        &alarmed,
        &issues,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_accounts(
    conn: &mut PgConnection,
    rows: Vec<(AccountKey, Account)>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut tenants, mut accounts) = (Vec::new(), Vec::new());
    let (mut statuses, mut reasons, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, account), row) in rows {
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        statuses.push(row.status);
        reasons.push(row.disable_reason);
        changed.push(row.changed_at);
    }
    sqlx::query!(
        "INSERT INTO account_state (tenant_id, account_id, status, disable_reason, changed_at)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[],
                              $5::timestamptz[])
         ON CONFLICT (tenant_id, account_id) DO UPDATE SET
             status = excluded.status, disable_reason = excluded.disable_reason,
             changed_at = excluded.changed_at",
        &tenants,
        &accounts,
        &statuses,
        &reasons,
        &changed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_seen(
    conn: &mut PgConnection,
    rows: Vec<(SeenKey, Seen)>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut accounts, mut times, mut contents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut recorded, mut partitions) = (Vec::new(), Vec::new());
    for ((account, at, content), row) in rows {
        accounts.push(account.to_string());
        times.push(at);
        contents.push(content.to_vec());
        recorded.push(row.recorded_at);
        partitions.push(row.partition.0);
    }
    sqlx::query!(
        "INSERT INTO seen_change (account_id, entry_time, content_id, recorded_at,
                                  source_partition)
         SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bytea[], $4::timestamptz[],
                              $5::integer[])
         ON CONFLICT (account_id, entry_time, content_id) DO UPDATE SET
             recorded_at = excluded.recorded_at, source_partition = excluded.source_partition",
        &accounts,
        &times,
        &contents,
        &recorded,
        &partitions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn store_progress(
    conn: &mut PgConnection,
    progress: BTreeMap<Partition, OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    if progress.is_empty() {
        return Ok(());
    }
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
    Ok(())
}
