//! A row of `ad` with its issues beside it, as Postgres gives them.

use compline_event::{Offset, Partition};
use time::OffsetDateTime;

use crate::row::{Ad, Issue, Level};

#[derive(sqlx::FromRow)]
pub(super) struct AdRow {
    pub(super) ad_id: String,
    pub(super) ad_account_id: String,
    pub(super) level: String,
    pub(super) status: String,
    pub(super) old_status: String,
    pub(super) reason: String,
    pub(super) placements: Vec<String>,
    pub(super) status_changed_at: Option<OffsetDateTime>,
    pub(super) fetch_needed: bool,
    pub(super) version: i64,
    pub(super) updated_at: OffsetDateTime,
    pub(super) log_partition: i32,
    pub(super) log_offset: i64,
    /// These four are of one length; absent when no issue is open.
    pub(super) error_codes: Option<Vec<String>>,
    pub(super) summaries: Option<Vec<String>>,
    pub(super) messages: Option<Vec<String>>,
    pub(super) raised_ats: Option<Vec<OffsetDateTime>>,
}

impl From<AdRow> for Ad {
    fn from(row: AdRow) -> Self {
        let texts = row
            .summaries
            .unwrap_or_default()
            .into_iter()
            .zip(row.messages.unwrap_or_default());
        let issues =
            texts
                .zip(row.raised_ats.unwrap_or_default())
                .map(|((summary, message), raised_at)| Issue {
                    summary,
                    message,
                    raised_at,
                });
        Ad {
            ad_id: row.ad_id,
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
            issues: row
                .error_codes
                .unwrap_or_default()
                .into_iter()
                .zip(issues)
                .collect(),
        }
    }
}
