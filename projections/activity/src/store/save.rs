//! What a batch writes at its end: each table once, in the order of its key.
//!
//! `ON CONFLICT DO NOTHING` in insert-only tables guards nothing that the fold has
//! not decided already, but for the trail: the fold does not load it.

use std::collections::{BTreeMap, BTreeSet};

use compline_event::{EventId, TenantId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    apply::{CounterKey, ReadKey, RequestKey, Rows},
    row::{Activity, Notification, WebhookCounter},
};

pub(super) async fn activities(
    conn: &mut PgConnection,
    rows: BTreeMap<(TenantId, EventId), Activity>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut kinds = Vec::new();
    let mut subjects = Vec::new();
    let mut summaries = Vec::new();
    let mut actors = Vec::new();
    let mut sources = Vec::new();
    let mut happened = Vec::new();
    let mut recorded = Vec::new();
    let mut topics = Vec::new();
    let mut partitions = Vec::new();
    let mut offsets = Vec::new();
    for ((tenant, id), row) in rows {
        tenants.push(tenant.as_uuid());
        ids.push(id.as_uuid());
        kinds.push(row.kind);
        subjects.push(row.subject);
        summaries.push(row.summary);
        actors.push(row.actor);
        sources.push(row.source);
        happened.push(row.happened_at);
        recorded.push(row.recorded_at);
        topics.push(row.at.topic.as_str().to_owned());
        partitions.push(row.at.partition.0);
        offsets.push(row.at.offset.0);
    }
    sqlx::query!(
        "INSERT INTO activity (tenant_id, event_id, kind, subject, summary, actor, source,
                               happened_at, recorded_at, topic, partition, record_offset)
         SELECT tenant_id, event_id, kind, subject, summary, actor, source,
                happened_at, recorded_at, topic, partition, record_offset
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[],
                     $11::integer[], $12::bigint[])
              AS batch (tenant_id, event_id, kind, subject, summary, actor, source,
                        happened_at, recorded_at, topic, partition, record_offset)
         ORDER BY tenant_id, event_id
         ON CONFLICT (tenant_id, event_id) DO NOTHING",
        &tenants,
        &ids,
        &kinds,
        &subjects,
        &summaries,
        &actors,
        &sources,
        &happened,
        &recorded,
        &topics,
        &partitions,
        &offsets,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn notifications(
    conn: &mut PgConnection,
    rows: BTreeMap<(TenantId, String), Notification>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut severities = Vec::new();
    let mut titles = Vec::new();
    let mut bodies = Vec::new();
    let mut subjects = Vec::new();
    let mut raised = Vec::new();
    for ((tenant, id), row) in rows {
        tenants.push(tenant.as_uuid());
        ids.push(id);
        severities.push(row.severity.as_str().to_owned());
        titles.push(row.title);
        bodies.push(row.body);
        subjects.push(row.subject);
        raised.push(row.raised_at);
    }
    sqlx::query!(
        r#"INSERT INTO notification (tenant_id, notification_id, severity, title, body, subject,
                                     raised_at)
         SELECT tenant_id, notification_id, severity, title, body, subject, raised_at
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::timestamptz[])
              AS batch (tenant_id, notification_id, severity, title, body, subject, raised_at)
         ORDER BY tenant_id, notification_id COLLATE "C"
         ON CONFLICT (tenant_id, notification_id) DO NOTHING"#,
        &tenants,
        &ids,
        &severities,
        &titles,
        &bodies,
        &subjects,
        &raised,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn reads(
    conn: &mut PgConnection,
    rows: BTreeMap<ReadKey, OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut readers = Vec::new();
    let mut ids = Vec::new();
    let mut read = Vec::new();
    for ((tenant, reader, id), read_at) in rows {
        tenants.push(tenant.as_uuid());
        readers.push(reader);
        ids.push(id);
        read.push(read_at);
    }
    sqlx::query!(
        r#"INSERT INTO notification_read (tenant_id, reader, notification_id, read_at)
         SELECT tenant_id, reader, notification_id, read_at
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
              AS batch (tenant_id, reader, notification_id, read_at)
         ORDER BY tenant_id, reader COLLATE "C", notification_id COLLATE "C"
         ON CONFLICT (tenant_id, reader, notification_id) DO NOTHING"#,
        &tenants,
        &readers,
        &ids,
        &read,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves the two counters by as many rows as the batch adds.
pub(super) async fn counts(conn: &mut PgConnection, rows: &Rows) -> Result<(), sqlx::Error> {
    let mut raised: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (tenant, _) in rows.notifications.keys() {
        *raised.entry(tenant.as_uuid()).or_default() += 1;
    }
    if !raised.is_empty() {
        let (tenants, more): (Vec<Uuid>, Vec<i64>) = raised.into_iter().unzip();
        sqlx::query!(
            "INSERT INTO notification_count (tenant_id, raised)
             SELECT tenant_id, raised FROM UNNEST($1::uuid[], $2::bigint[]) AS more (tenant_id, raised)
             ORDER BY tenant_id
             ON CONFLICT (tenant_id) DO UPDATE
             SET raised = notification_count.raised + excluded.raised",
            &tenants,
            &more,
        )
        .execute(&mut *conn)
        .await?;
    }

    let mut read: BTreeMap<(Uuid, &str), i64> = BTreeMap::new();
    for (tenant, reader, _) in rows.reads.keys() {
        *read.entry((tenant.as_uuid(), reader)).or_default() += 1;
    }
    if !read.is_empty() {
        let mut tenants = Vec::new();
        let mut readers = Vec::new();
        let mut more = Vec::new();
        for ((tenant, reader), count) in read {
            tenants.push(tenant);
            readers.push(reader.to_owned());
            more.push(count);
        }
        sqlx::query!(
            r#"INSERT INTO reader_count (tenant_id, reader, read)
             SELECT tenant_id, reader, read
             FROM UNNEST($1::uuid[], $2::text[], $3::bigint[]) AS more (tenant_id, reader, read)
             ORDER BY tenant_id, reader COLLATE "C"
             ON CONFLICT (tenant_id, reader) DO UPDATE
             SET read = reader_count.read + excluded.read"#,
            &tenants,
            &readers,
            &more,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn counters(
    conn: &mut PgConnection,
    rows: BTreeMap<CounterKey, WebhookCounter>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut sources = Vec::new();
    let mut objects = Vec::new();
    let mut fields = Vec::new();
    let mut problems = Vec::new();
    let mut more = Vec::new();
    let mut accounts = Vec::new();
    let mut last = Vec::new();
    for ((tenant, ..), row) in rows {
        tenants.push(tenant.as_uuid());
        sources.push(row.source);
        objects.push(row.object);
        fields.push(row.field);
        problems.push(row.problem);
        more.push(row.count);
        accounts.push(row.last_account);
        last.push(row.last_at);
    }
    sqlx::query!(
        r#"INSERT INTO webhook_counter (tenant_id, source, object, field, problem, count,
                                        last_account, last_at)
         SELECT tenant_id, source, object, field, problem, count, last_account, last_at
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                     $7::text[], $8::timestamptz[])
              AS more (tenant_id, source, object, field, problem, count, last_account, last_at)
         ORDER BY tenant_id, source COLLATE "C", object COLLATE "C", field COLLATE "C",
                  problem COLLATE "C"
         ON CONFLICT (tenant_id, source, object, field, problem) DO UPDATE
         SET count = webhook_counter.count + excluded.count,
             last_account = excluded.last_account, last_at = excluded.last_at"#,
        &tenants,
        &sources,
        &objects,
        &fields,
        &problems,
        &more,
        &accounts,
        &last,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn versions(
    conn: &mut PgConnection,
    rows: BTreeMap<(TenantId, String), u64>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut entities = Vec::new();
    let mut versions = Vec::new();
    for ((tenant, entity), version) in rows {
        tenants.push(tenant.as_uuid());
        entities.push(entity);
        versions.push(i64::try_from(version).expect("2^63 commands are never reached"));
    }
    sqlx::query!(
        r#"INSERT INTO entity (tenant_id, entity, version)
         SELECT tenant_id, entity, version
         FROM UNNEST($1::uuid[], $2::text[], $3::bigint[]) AS batch (tenant_id, entity, version)
         ORDER BY tenant_id, entity COLLATE "C"
         ON CONFLICT (tenant_id, entity) DO UPDATE SET version = excluded.version"#,
        &tenants,
        &entities,
        &versions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn admin_keys(
    conn: &mut PgConnection,
    rows: Vec<((TenantId, String), bool)>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut live = Vec::new();
    for ((tenant, id), is_live) in rows {
        tenants.push(tenant.as_uuid());
        ids.push(id);
        live.push(is_live);
    }
    sqlx::query!(
        r#"INSERT INTO admin_key (tenant_id, key_id, live)
         SELECT tenant_id, key_id, live
         FROM UNNEST($1::uuid[], $2::text[], $3::boolean[]) AS batch (tenant_id, key_id, live)
         ORDER BY tenant_id, key_id COLLATE "C"
         ON CONFLICT (tenant_id, key_id) DO UPDATE SET live = excluded.live"#,
        &tenants,
        &ids,
        &live,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn requests(
    conn: &mut PgConnection,
    rows: BTreeSet<RequestKey>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut entities = Vec::new();
    let mut ids = Vec::new();
    for (tenant, entity, id) in rows {
        tenants.push(tenant.as_uuid());
        entities.push(entity);
        ids.push(id);
    }
    sqlx::query!(
        r#"INSERT INTO request (tenant_id, entity, request_id)
         SELECT tenant_id, entity, request_id
         FROM UNNEST($1::uuid[], $2::text[], $3::uuid[]) AS batch (tenant_id, entity, request_id)
         ORDER BY tenant_id, entity COLLATE "C", request_id
         ON CONFLICT (tenant_id, entity, request_id) DO NOTHING"#,
        &tenants,
        &entities,
        &ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}
