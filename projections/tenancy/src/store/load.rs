//! What a batch reads first.

use compline_event::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Touched;
use crate::{
    apply::Rows,
    row::{
        Account, ApiKey, Tenant,
        sql::{AccountRow, KeyRow, TenantRow},
    },
};

pub(super) async fn tenants(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.tenants.is_empty() {
        return Ok(());
    }
    let tenants: Vec<Uuid> = touched.tenants.iter().map(|id| id.as_uuid()).collect();
    let found = sqlx::query_as!(
        TenantRow,
        "SELECT tenant_id, display_name, created_at, version FROM tenant WHERE tenant_id = ANY($1)",
        &tenants,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let tenant = Tenant::try_from(row)?;
        rows.tenants.insert(tenant.tenant_id, tenant);
    }
    Ok(())
}

pub(super) async fn accounts(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.accounts.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<String>) = touched
        .accounts
        .iter()
        .map(|(tenant, id)| (tenant.as_uuid(), id.to_string()))
        .unzip();
    let found = sqlx::query_as!(
        AccountRow,
        "SELECT tenant_id, ad_account_id, display_name, connected, connected_at, status,
                disable_reason, status_changed_at, version
         FROM account JOIN UNNEST($1::uuid[], $2::text[]) AS touched (tenant_id, ad_account_id)
              USING (tenant_id, ad_account_id)",
        &tenants,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let account = Account::try_from(row)?;
        let key = (account.tenant_id, account.ad_account_id.clone());
        rows.accounts.insert(key, account);
    }
    Ok(())
}

pub(super) async fn keys(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.keys.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<String>) = touched
        .keys
        .iter()
        .map(|(tenant, id)| (tenant.as_uuid(), id.clone()))
        .unzip();
    let found = sqlx::query_as!(
        KeyRow,
        "SELECT tenant_id, key_id, display_name, role, secret_sha256, issued_at, revoked_at, version
         FROM api_key JOIN UNNEST($1::uuid[], $2::text[]) AS touched (tenant_id, key_id)
              USING (tenant_id, key_id)",
        &tenants,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = ApiKey::try_from(row)?;
        rows.keys.insert((key.tenant_id, key.key_id.clone()), key);
    }
    Ok(())
}

pub(super) async fn admin_keys(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.keys.is_empty() {
        return Ok(());
    }
    let tenants: Vec<Uuid> = touched.keys.iter().map(|(id, _)| id.as_uuid()).collect();
    let found = sqlx::query!(
        "SELECT tenant_id, key_id FROM api_key
         WHERE tenant_id = ANY($1)
               AND role = 'admin' AND issued_at IS NOT NULL AND revoked_at IS NULL",
        &tenants,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let tenant = TenantId::new(row.tenant_id);
        rows.admin_keys.insert_live(tenant, row.key_id);
    }
    Ok(())
}

pub(super) async fn requests(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.requests.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut entities = Vec::new();
    let mut ids = Vec::new();
    for (tenant, entity, request_id) in &touched.requests {
        tenants.push(tenant.as_uuid());
        entities.push(entity.clone());
        ids.push(*request_id);
    }
    let found = sqlx::query!(
        "SELECT tenant_id, entity, request_id
         FROM request JOIN UNNEST($1::uuid[], $2::text[], $3::uuid[])
              AS touched (tenant_id, entity, request_id) USING (tenant_id, entity, request_id)",
        &tenants,
        &entities,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = (TenantId::new(row.tenant_id), row.entity, row.request_id);
        rows.decided_before.insert(key);
    }
    Ok(())
}
