//! What a batch writes at its end: each table once, in the order of its key.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::row::{Account, ApiKey, Request, Tenant, sql::version_to_sql};

pub(super) async fn tenants(
    conn: &mut PgConnection,
    rows: impl ExactSizeIterator<Item = Tenant>,
) -> Result<(), sqlx::Error> {
    if rows.len() == 0 {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut names = Vec::new();
    let mut created = Vec::new();
    let mut versions = Vec::new();
    for row in rows {
        tenants.push(row.tenant_id.as_uuid());
        names.push(row.display_name);
        created.push(row.created_at);
        versions.push(version_to_sql(row.version));
    }
    sqlx::query!(
        "INSERT INTO tenant (tenant_id, display_name, created_at, version)
         SELECT tenant_id, display_name, created_at, version
         FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[])
              AS batch (tenant_id, display_name, created_at, version)
         ORDER BY tenant_id
         ON CONFLICT (tenant_id) DO UPDATE
         SET display_name = excluded.display_name, version = excluded.version",
        &tenants,
        &names,
        &created,
        &versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn accounts(
    conn: &mut PgConnection,
    rows: impl ExactSizeIterator<Item = Account>,
) -> Result<(), sqlx::Error> {
    if rows.len() == 0 {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut names = Vec::new();
    let mut connected = Vec::new();
    let mut connected_at = Vec::new();
    let mut status = Vec::new();
    let mut reasons = Vec::new();
    let mut status_at = Vec::new();
    let mut versions = Vec::new();
    for row in rows {
        tenants.push(row.tenant_id.as_uuid());
        ids.push(row.ad_account_id.to_string());
        names.push(row.display_name);
        connected.push(row.connected);
        connected_at.push(row.connected_at);
        status.push(row.status);
        reasons.push(row.disable_reason);
        status_at.push(row.status_changed_at);
        versions.push(version_to_sql(row.version));
    }
    sqlx::query!(
        r#"INSERT INTO account (tenant_id, ad_account_id, display_name, connected, connected_at,
                                status, disable_reason, status_changed_at, version)
         SELECT tenant_id, ad_account_id, display_name, connected, connected_at,
                status, disable_reason, status_changed_at, version
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[],
                     $6::integer[], $7::integer[], $8::timestamptz[], $9::bigint[])
              AS batch (tenant_id, ad_account_id, display_name, connected, connected_at,
                        status, disable_reason, status_changed_at, version)
         ORDER BY tenant_id, ad_account_id COLLATE "C"
         ON CONFLICT (tenant_id, ad_account_id) DO UPDATE
         SET display_name = excluded.display_name, connected = excluded.connected,
             connected_at = excluded.connected_at, status = excluded.status,
             disable_reason = excluded.disable_reason,
             status_changed_at = excluded.status_changed_at, version = excluded.version"#,
        &tenants,
        &ids,
        &names,
        &connected,
        &connected_at as &[Option<OffsetDateTime>],
        &status,
        &reasons,
        &status_at as &[Option<OffsetDateTime>],
        &versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn keys(
    conn: &mut PgConnection,
    rows: impl ExactSizeIterator<Item = ApiKey>,
) -> Result<(), sqlx::Error> {
    if rows.len() == 0 {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut names = Vec::new();
    let mut roles = Vec::new();
    let mut hashes = Vec::new();
    let mut issued = Vec::new();
    let mut revoked = Vec::new();
    let mut versions = Vec::new();
    for row in rows {
        tenants.push(row.tenant_id.as_uuid());
        ids.push(row.key_id);
        names.push(row.display_name);
        roles.push(row.role.as_str().to_owned());
        hashes.push(row.secret_sha256.to_vec());
        issued.push(row.issued_at);
        revoked.push(row.revoked_at);
        versions.push(version_to_sql(row.version));
    }
    sqlx::query!(
        r#"INSERT INTO api_key (tenant_id, key_id, display_name, role, secret_sha256, issued_at,
                                revoked_at, version)
         SELECT tenant_id, key_id, display_name, role, secret_sha256, issued_at, revoked_at, version
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[],
                     $6::timestamptz[], $7::timestamptz[], $8::bigint[])
              AS batch (tenant_id, key_id, display_name, role, secret_sha256, issued_at,
                        revoked_at, version)
         ORDER BY tenant_id, key_id COLLATE "C"
         ON CONFLICT (tenant_id, key_id) DO UPDATE
         SET display_name = excluded.display_name, role = excluded.role,
             secret_sha256 = excluded.secret_sha256, issued_at = excluded.issued_at,
             revoked_at = excluded.revoked_at, version = excluded.version"#,
        &tenants,
        &ids,
        &names,
        &roles,
        &hashes,
        &issued as &[Option<OffsetDateTime>],
        &revoked as &[Option<OffsetDateTime>],
        &versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn requests(
    conn: &mut PgConnection,
    rows: impl ExactSizeIterator<Item = Request>,
) -> Result<(), sqlx::Error> {
    if rows.len() == 0 {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut entities = Vec::new();
    let mut ids = Vec::new();
    let mut types = Vec::new();
    let mut verdicts = Vec::new();
    let mut versions = Vec::new();
    let mut topics = Vec::new();
    let mut partitions = Vec::new();
    let mut offsets = Vec::new();
    for row in rows {
        tenants.push(row.tenant_id.as_uuid());
        entities.push(row.entity);
        ids.push(row.request_id);
        types.push(row.event_type);
        verdicts.push(row.outcome.as_str().to_owned());
        versions.push(version_to_sql(row.version));
        topics.push(row.at.topic.as_str().to_owned());
        partitions.push(row.at.partition.0);
        offsets.push(row.at.offset.0);
    }
    sqlx::query!(
        r#"INSERT INTO request (tenant_id, entity, request_id, event_type, verdict, version, topic,
                                partition, record_offset)
         SELECT tenant_id, entity, request_id, event_type, verdict, version, topic, partition,
                record_offset
         FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[],
                     $7::text[], $8::integer[], $9::bigint[])
              AS batch (tenant_id, entity, request_id, event_type, verdict, version, topic,
                        partition, record_offset)
         ORDER BY tenant_id, entity COLLATE "C", request_id
         ON CONFLICT (tenant_id, entity, request_id) DO NOTHING"#,
        &tenants,
        &entities,
        &ids,
        &types,
        &verdicts,
        &versions,
        &topics,
        &partitions,
        &offsets,
    )
    .execute(conn)
    .await?;
    Ok(())
}
