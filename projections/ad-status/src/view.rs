//! Reads. The connection is a snapshot's: its tenant is the only one whose rows
//! there are, so no statement names one.

mod list;
mod row;

use compline_event::{EventId, Offset, Partition, Token, Topic};
use sqlx::PgConnection;

use crate::row::{Ad, AdCount, StatusChange};

pub use list::{After, Column, ListQuery, OrderBy, ads};
use row::AdRow;

/// One ad with its open issues, in one round trip.
pub async fn ad(conn: &mut PgConnection, ad_id: &str) -> Result<Option<Ad>, sqlx::Error> {
    let row = sqlx::query_as!(
        AdRow,
        "SELECT ad_id, ad_account_id, level, status, old_status, reason, placements,
                status_changed_at, fetch_needed, version, updated_at, log_partition, log_offset,
                error_codes, summaries, messages, raised_ats
         FROM ad, LATERAL (
             SELECT array_agg(error_code) AS error_codes, array_agg(summary) AS summaries,
                    array_agg(message) AS messages, array_agg(raised_at) AS raised_ats
             FROM ad_issue
             WHERE ad.open_issues > 0
               AND ad_issue.tenant_id = ad.tenant_id AND ad_issue.ad_id = ad.ad_id
         ) AS issue
         WHERE ad.ad_id = $1",
        ad_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Ad::from))
}

/// Newest first by the log's order, those before `before`; none when there is no
/// such ad, too.
pub async fn history(
    conn: &mut PgConnection,
    ad_id: &str,
    before: Option<(Partition, Offset)>,
    limit: i64,
) -> Result<Vec<StatusChange>, sqlx::Error> {
    let (partition, offset) = before.unwrap_or((Partition(i32::MAX), Offset(i64::MAX)));
    let rows = sqlx::query!(
        "SELECT log_partition, log_offset, event_id, old_status, new_status, reason, placements,
                changed_at, recorded_at, late, fetch_needed
         FROM ad_status_history
         WHERE ad_id = $1 AND (log_partition, log_offset) < ($2, $3)
         ORDER BY tenant_id DESC, ad_id DESC, log_partition DESC, log_offset DESC LIMIT $4",
        ad_id,
        partition.0,
        offset.0,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| StatusChange {
            partition: Partition(row.log_partition),
            offset: Offset(row.log_offset),
            event_id: EventId::new(row.event_id),
            old_status: row.old_status,
            new_status: row.new_status,
            reason: row.reason,
            placements: row.placements,
            changed_at: row.changed_at,
            recorded_at: row.recorded_at,
            late: row.late,
            fetch_needed: row.fetch_needed,
        })
        .collect())
}

/// By account and status; of one account when it is given.
pub async fn counts(
    conn: &mut PgConnection,
    ad_account_id: Option<&str>,
) -> Result<Vec<AdCount>, sqlx::Error> {
    sqlx::query_as!(
        AdCount,
        "SELECT ad_account_id, status, ads FROM ad_count
         WHERE ads <> 0 AND ($1::text IS NULL OR ad_account_id = $1)
         ORDER BY tenant_id, ad_account_id, status",
        ad_account_id,
    )
    .fetch_all(conn)
    .await
}

/// The ads whose last event is at or above `since`, in the log's order per
/// partition, behind `after`. A partition that `since` does not name is left out.
///
/// The inner LIMIT makes Postgres go by the index of each partition; a join would
/// read every ad of the tenant.
pub async fn changed(
    conn: &mut PgConnection,
    since: &Token,
    after: Option<(Partition, Offset)>,
    limit: i64,
) -> Result<Vec<Ad>, sqlx::Error> {
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = since
        .positions()
        .filter(|position| position.topic == Topic::Ad)
        .map(|position| (position.partition.0, position.next_offset.0))
        .unzip();
    let (partition, offset) = after.unwrap_or((Partition(-1), Offset(-1)));
    let rows = sqlx::query_as!(
        AdRow,
        "SELECT ad_id, ad_account_id, level, status, old_status, reason, placements,
                status_changed_at, fetch_needed, version, updated_at, log_partition, log_offset,
                error_codes, summaries, messages, raised_ats
         FROM UNNEST($1::integer[], $2::bigint[]) AS since (partition, next_offset),
         LATERAL (
             SELECT * FROM ad
             WHERE ad.log_partition = since.partition AND ad.log_offset >= since.next_offset
               AND (ad.log_partition, ad.log_offset) > ($3, $4)
             ORDER BY ad.tenant_id, ad.log_partition, ad.log_offset LIMIT $5
         ) AS ad,
         LATERAL (
             SELECT array_agg(error_code) AS error_codes, array_agg(summary) AS summaries,
                    array_agg(message) AS messages, array_agg(raised_at) AS raised_ats
             FROM ad_issue
             WHERE ad.open_issues > 0
               AND ad_issue.tenant_id = ad.tenant_id AND ad_issue.ad_id = ad.ad_id
         ) AS issue
         ORDER BY ad.log_partition, ad.log_offset LIMIT $5",
        &partitions,
        &offsets,
        partition.0,
        offset.0,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Ad::from).collect())
}
