//! Reading the rows that a batch touches.

use compline_event::{Offset, Partition, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    apply::Rows,
    row::{Ad, Issue, Level},
};

pub(super) async fn ads(conn: &mut PgConnection, rows: &mut Rows) -> Result<(), sqlx::Error> {
    let (tenants, ids) = keys(rows, |_| true);
    // NUL is refused by the fold; Postgres must not refuse the whole batch first.
    let found = sqlx::query!(
        r#"SELECT tenant_id, ad_id, ad_account_id, level, status, old_status, reason, placements,
                  status_changed_at, fetch_needed, version, updated_at, log_partition, log_offset
           FROM ad JOIN UNNEST($1::uuid[], $2::text[]) AS wanted (tenant_id, ad_id)
             USING (tenant_id, ad_id)"#,
        &tenants,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = (TenantId::new(row.tenant_id), row.ad_id);
        let Some(entry) = rows.ads.get_mut(&key) else {
            continue;
        };
        entry.ad = Some(Ad {
            ad_id: key.1,
            ad_account_id: row.ad_account_id,
            level: Level::from_sql(&row.level),
            status: row.status,
            old_status: row.old_status,
            reason: row.reason,
            placements: row.placements,
            status_changed_at: row.status_changed_at,
            fetch_needed: row.fetch_needed,
            version: row.version,
            updated_at: row.updated_at,
            partition: Partition(row.log_partition),
            offset: Offset(row.log_offset),
            issues: Default::default(),
        });
    }
    Ok(())
}

pub(super) async fn issues(conn: &mut PgConnection, rows: &mut Rows) -> Result<(), sqlx::Error> {
    let (tenants, ids) = keys(rows, |entry| entry.ad.is_some());
    if ids.is_empty() {
        return Ok(());
    }
    let found = sqlx::query!(
        "SELECT tenant_id, ad_id, error_code, summary, message, raised_at
         FROM ad_issue JOIN UNNEST($1::uuid[], $2::text[]) AS wanted (tenant_id, ad_id)
           USING (tenant_id, ad_id)",
        &tenants,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = (TenantId::new(row.tenant_id), row.ad_id);
        if let Some(ad) = rows.ads.get_mut(&key).and_then(|entry| entry.ad.as_mut()) {
            let issue = Issue {
                summary: row.summary,
                message: row.message,
                raised_at: row.raised_at,
            };
            ad.issues.insert(row.error_code, issue);
        }
    }
    Ok(())
}

fn keys(rows: &Rows, wanted: impl Fn(&crate::apply::Entry) -> bool) -> (Vec<Uuid>, Vec<String>) {
    rows.ads
        .iter()
        .filter(|((_, ad_id), entry)| wanted(entry) && !ad_id.contains('\0'))
        .map(|((tenant, ad_id), _)| (tenant.as_uuid(), ad_id.clone()))
        .unzip()
}
