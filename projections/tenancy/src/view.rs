//! Reads. The connection is a snapshot's: its tenant is the only one whose rows
//! there are, so no statement names one.

use compline_event::{AdAccountId, Offset, Partition, RecordId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::row::{
    Account, ApiKey, Outcome, Request, Tenant,
    sql::{AccountRow, KeyRow, TenantRow, unreadable, version_from_sql},
};

pub async fn tenant(conn: &mut PgConnection) -> Result<Option<Tenant>, sqlx::Error> {
    sqlx::query_as!(
        TenantRow,
        "SELECT tenant_id, display_name, created_at, version FROM tenant",
    )
    .fetch_optional(conn)
    .await?
    .map(Tenant::try_from)
    .transpose()
}

pub async fn account(
    conn: &mut PgConnection,
    id: &AdAccountId,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "SELECT tenant_id, ad_account_id, display_name, connected, connected_at, status,
                disable_reason, status_changed_at, version
         FROM account WHERE ad_account_id = $1",
        id.as_str(),
    )
    .fetch_optional(conn)
    .await?
    .map(Account::try_from)
    .transpose()
}

/// By id, those after `after`; all when it is empty. Disconnected ones included.
pub async fn accounts(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Account>, sqlx::Error> {
    sqlx::query_as!(
        AccountRow,
        "SELECT tenant_id, ad_account_id, display_name, connected, connected_at, status,
                disable_reason, status_changed_at, version
         FROM account WHERE ad_account_id > $1 ORDER BY tenant_id, ad_account_id LIMIT $2",
        after,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Account::try_from)
    .collect()
}

/// The key with this id, live or revoked.
pub async fn find_key(
    conn: &mut PgConnection,
    key_id: &str,
) -> Result<Option<ApiKey>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        "SELECT tenant_id, key_id, display_name, role, secret_sha256, issued_at, revoked_at, version
         FROM api_key WHERE key_id = $1",
        key_id,
    )
    .fetch_optional(conn)
    .await?
    .map(ApiKey::try_from)
    .transpose()
}

/// By id, those after `after`; all when it is empty. Revoked ones included.
pub async fn keys(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        "SELECT tenant_id, key_id, display_name, role, secret_sha256, issued_at, revoked_at, version
         FROM api_key WHERE key_id > $1 ORDER BY tenant_id, key_id LIMIT $2",
        after,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(ApiKey::try_from)
    .collect()
}

/// What became of the command with this id on `entity`, a resource name.
pub async fn request(
    conn: &mut PgConnection,
    entity: &str,
    request_id: Uuid,
) -> Result<Option<Request>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT tenant_id, event_type, verdict, version, topic, partition, record_offset
         FROM request WHERE entity = $1 AND request_id = $2",
        entity,
        request_id,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Request {
        tenant_id: TenantId::new(row.tenant_id),
        entity: entity.to_owned(),
        request_id,
        event_type: row.event_type,
        outcome: Outcome::from_sql(&row.verdict)?,
        version: version_from_sql(row.version)?,
        at: RecordId {
            topic: row.topic.parse().map_err(unreadable)?,
            partition: Partition(row.partition),
            offset: Offset(row.record_offset),
        },
    }))
}
