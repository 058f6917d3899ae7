//! Columns as `UNNEST` takes them, and the statement of each table.

use std::collections::BTreeMap;

use compline_event::TenantId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::project::events::Nth;

#[derive(Default)]
pub(super) struct Ads {
    tenant_id: Vec<Uuid>,
    ad_id: Vec<String>,
    ad_account_id: Vec<String>,
    level: Vec<String>,
    status: Vec<String>,
    old_status: Vec<String>,
    reason: Vec<String>,
    placements: Vec<String>,
    status_changed_at: Vec<OffsetDateTime>,
    fetch_needed: Vec<bool>,
    open_issues: Vec<i32>,
    version: Vec<i64>,
    updated_at: Vec<OffsetDateTime>,
    log_partition: Vec<i32>,
    log_offset: Vec<i64>,
}

impl Ads {
    /// From (number of the event, partition, offset, version), sorted by key.
    pub(super) fn new(rows: impl Iterator<Item = (usize, i32, i64, i64)>) -> Self {
        let mut ads = Self::default();
        for (number, partition, offset, version) in rows {
            let nth = Nth::new(number);
            ads.tenant_id.push(nth.tenant.as_uuid());
            ads.placements.push(placements(&nth));
            ads.ad_id.push(nth.ad.ad_id);
            ads.ad_account_id.push(nth.ad.account);
            ads.level.push("AD".to_owned());
            ads.status.push(nth.new_status.to_owned());
            ads.old_status.push(nth.old_status.to_owned());
            ads.reason.push(nth.reason.to_owned());
            ads.status_changed_at.push(nth.changed_at);
            ads.fetch_needed.push(false);
            ads.open_issues.push(0);
            ads.version.push(version);
            ads.updated_at.push(nth.recorded_at);
            ads.log_partition.push(partition);
            ads.log_offset.push(offset);
        }
        ads
    }

    pub(super) async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO ad (tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                             placements, status_changed_at, fetch_needed, open_issues, version,
                             updated_at, log_partition, log_offset)
             SELECT tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                    placements::text[], status_changed_at, fetch_needed, open_issues, version,
                    updated_at, log_partition, log_offset
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                         $7::text[], $8::text[], $9::timestamptz[], $10::boolean[], $11::integer[],
                         $12::bigint[], $13::timestamptz[], $14::integer[], $15::bigint[])
               AS changed (tenant_id, ad_id, ad_account_id, level, status, old_status, reason,
                           placements, status_changed_at, fetch_needed, open_issues, version,
                           updated_at, log_partition, log_offset)
             ON CONFLICT (tenant_id, ad_id) DO UPDATE SET
               ad_account_id = excluded.ad_account_id, level = excluded.level,
               status = excluded.status, old_status = excluded.old_status,
               reason = excluded.reason, placements = excluded.placements,
               status_changed_at = excluded.status_changed_at,
               fetch_needed = excluded.fetch_needed, open_issues = excluded.open_issues,
               version = excluded.version, updated_at = excluded.updated_at,
               log_partition = excluded.log_partition, log_offset = excluded.log_offset",
        )
        .bind(&self.tenant_id)
        .bind(&self.ad_id)
        .bind(&self.ad_account_id)
        .bind(&self.level)
        .bind(&self.status)
        .bind(&self.old_status)
        .bind(&self.reason)
        .bind(&self.placements)
        .bind(&self.status_changed_at)
        .bind(&self.fetch_needed)
        .bind(&self.open_issues)
        .bind(&self.version)
        .bind(&self.updated_at)
        .bind(&self.log_partition)
        .bind(&self.log_offset)
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct History {
    tenant_id: Vec<Uuid>,
    ad_id: Vec<String>,
    log_partition: Vec<i32>,
    log_offset: Vec<i64>,
    event_id: Vec<Uuid>,
    old_status: Vec<String>,
    new_status: Vec<String>,
    reason: Vec<String>,
    placements: Vec<String>,
    changed_at: Vec<OffsetDateTime>,
    recorded_at: Vec<OffsetDateTime>,
    late: Vec<bool>,
    fetch_needed: Vec<bool>,
}

impl History {
    /// From (number of the event, partition, offset), sorted by key.
    pub(super) fn new(rows: Vec<(usize, i32, i64)>) -> Self {
        let mut history = Self::default();
        for (number, partition, offset) in rows {
            let nth = Nth::new(number);
            history.tenant_id.push(nth.tenant.as_uuid());
            history.placements.push(placements(&nth));
            history.ad_id.push(nth.ad.ad_id);
            history.log_partition.push(partition);
            history.log_offset.push(offset);
            history.event_id.push(nth.event_id);
            history.old_status.push(nth.old_status.to_owned());
            history.new_status.push(nth.new_status.to_owned());
            history.reason.push(nth.reason.to_owned());
            history.changed_at.push(nth.changed_at);
            history.recorded_at.push(nth.recorded_at);
            history.late.push(false);
            history.fetch_needed.push(false);
        }
        history
    }

    pub(super) async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO ad_status_history (tenant_id, ad_id, log_partition, log_offset, event_id,
                                            old_status, new_status, reason, placements, changed_at,
                                            recorded_at, late, fetch_needed)
             SELECT tenant_id, ad_id, log_partition, log_offset, event_id, old_status, new_status,
                    reason, placements::text[], changed_at, recorded_at, late, fetch_needed
             FROM UNNEST($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::uuid[], $6::text[],
                         $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
                         $12::boolean[], $13::boolean[])
               AS told (tenant_id, ad_id, log_partition, log_offset, event_id, old_status,
                        new_status, reason, placements, changed_at, recorded_at, late, fetch_needed)",
        )
        .bind(&self.tenant_id)
        .bind(&self.ad_id)
        .bind(&self.log_partition)
        .bind(&self.log_offset)
        .bind(&self.event_id)
        .bind(&self.old_status)
        .bind(&self.new_status)
        .bind(&self.reason)
        .bind(&self.placements)
        .bind(&self.changed_at)
        .bind(&self.recorded_at)
        .bind(&self.late)
        .bind(&self.fetch_needed)
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Counts {
    tenant_id: Vec<Uuid>,
    ad_account_id: Vec<String>,
    status: Vec<String>,
    ads: Vec<i64>,
}

impl Counts {
    pub(super) fn new(counts: BTreeMap<(TenantId, String, String), i64>) -> Self {
        let mut columns = Self::default();
        for ((tenant, account, status), ads) in counts {
            columns.tenant_id.push(tenant.as_uuid());
            columns.ad_account_id.push(account);
            columns.status.push(status);
            columns.ads.push(ads);
        }
        columns
    }

    pub(super) async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO ad_count (tenant_id, ad_account_id, status, ads)
             SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[])
             ON CONFLICT (tenant_id, ad_account_id, status)
             DO UPDATE SET ads = ad_count.ads + excluded.ads",
        )
        .bind(&self.tenant_id)
        .bind(&self.ad_account_id)
        .bind(&self.status)
        .bind(&self.ads)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// As Postgres reads an array.
fn placements(nth: &Nth) -> String {
    format!("{{{}}}", nth.placements.join(","))
}
