//! What a batch reads first.

use compline_event::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Touched;
use crate::apply::Rows;

pub(super) async fn versions(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.entities.is_empty() {
        return Ok(());
    }
    let (tenants, entities) = unzip(&touched.entities);
    let found = sqlx::query!(
        "SELECT tenant_id, entity, version
         FROM entity JOIN UNNEST($1::uuid[], $2::text[]) AS touched (tenant_id, entity)
              USING (tenant_id, entity)",
        &tenants,
        &entities,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let version = u64::try_from(row.version).map_err(|e| sqlx::Error::Decode(e.into()))?;
        let entity = (TenantId::new(row.tenant_id), row.entity);
        rows.versions.insert(entity, version);
    }
    Ok(())
}

/// Only live ones: what is not live never is again.
pub(super) async fn admin_keys(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.keyed.is_empty() {
        return Ok(());
    }
    let tenants: Vec<Uuid> = touched.keyed.iter().map(|id| id.as_uuid()).collect();
    let found = sqlx::query!(
        "SELECT tenant_id, key_id FROM admin_key WHERE tenant_id = ANY($1) AND live",
        &tenants,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let tenant = TenantId::new(row.tenant_id);
        rows.admin_keys.insert_live(tenant, row.key_id.clone());
        rows.live_before.insert((tenant, row.key_id));
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
    for (tenant, entity, id) in &touched.requests {
        tenants.push(tenant.as_uuid());
        entities.push(entity.clone());
        ids.push(*id);
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
        let request = (TenantId::new(row.tenant_id), row.entity, row.request_id);
        rows.decided_before.insert(request);
    }
    Ok(())
}

pub(super) async fn notifications(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.notifications.is_empty() {
        return Ok(());
    }
    let (tenants, ids) = unzip(&touched.notifications);
    let found = sqlx::query!(
        "SELECT tenant_id, notification_id
         FROM notification JOIN UNNEST($1::uuid[], $2::text[])
              AS touched (tenant_id, notification_id) USING (tenant_id, notification_id)",
        &tenants,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = (TenantId::new(row.tenant_id), row.notification_id);
        rows.raised_before.insert(key);
    }
    Ok(())
}

pub(super) async fn reads(
    conn: &mut PgConnection,
    touched: &Touched,
    rows: &mut Rows,
) -> Result<(), sqlx::Error> {
    if touched.reads.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut readers = Vec::new();
    let mut ids = Vec::new();
    for (tenant, reader, id) in &touched.reads {
        tenants.push(tenant.as_uuid());
        readers.push(reader.clone());
        ids.push(id.clone());
    }
    let found = sqlx::query!(
        "SELECT tenant_id, reader, notification_id
         FROM notification_read JOIN UNNEST($1::uuid[], $2::text[], $3::text[])
              AS touched (tenant_id, reader, notification_id)
              USING (tenant_id, reader, notification_id)",
        &tenants,
        &readers,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = (
            TenantId::new(row.tenant_id),
            row.reader,
            row.notification_id,
        );
        rows.read_before.insert(key);
    }
    Ok(())
}

fn unzip<'a>(keys: impl IntoIterator<Item = &'a (TenantId, String)>) -> (Vec<Uuid>, Vec<String>) {
    keys.into_iter()
        .map(|(tenant, name)| (tenant.as_uuid(), name.clone()))
        .unzip()
}
