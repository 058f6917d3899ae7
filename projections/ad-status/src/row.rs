//! The rows, as the fold makes them and the views give them.

use std::collections::BTreeMap;

use compline_event::{EventId, Offset, Partition};
use time::OffsetDateTime;

/// An ad object as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ad {
    pub ad_id: String,
    /// Without `act_`.
    pub ad_account_id: String,
    pub level: Level,
    /// Meta's `effective_status`; empty while only issues are known.
    pub status: String,
    pub old_status: String,
    pub reason: String,
    pub placements: Vec<String>,
    /// By Meta's clock; absent while no status is known.
    pub status_changed_at: Option<OffsetDateTime>,
    /// Meta said that it changed and not to what.
    pub fetch_needed: bool,
    /// How many events it has folded.
    pub version: i64,
    /// When the last of them was recorded, and where it stands.
    pub updated_at: OffsetDateTime,
    pub partition: Partition,
    pub offset: Offset,
    /// Open ones, by error code.
    pub issues: BTreeMap<String, Issue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub summary: String,
    pub message: String,
    pub raised_at: OffsetDateTime,
}

/// One status change as it was appended, late ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    pub partition: Partition,
    pub offset: Offset,
    pub event_id: EventId,
    pub old_status: String,
    /// Empty when Meta gave no value.
    pub new_status: String,
    pub reason: String,
    pub placements: Vec<String>,
    pub changed_at: OffsetDateTime,
    pub recorded_at: OffsetDateTime,
    pub late: bool,
    pub fetch_needed: bool,
}

/// How many ads of an account are in a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdCount {
    pub ad_account_id: String,
    pub status: String,
    pub ads: i64,
}

/// What kind of object it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    #[default]
    Unknown,
    Ad,
    AdSet,
    Campaign,
    Account,
}

impl Level {
    pub const ALL: [Level; 5] = [
        Level::Unknown,
        Level::Ad,
        Level::AdSet,
        Level::Campaign,
        Level::Account,
    ];

    /// As it stands in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Unknown => "",
            Level::Ad => "AD",
            Level::AdSet => "AD_SET",
            Level::Campaign => "CAMPAIGN",
            Level::Account => "ACCOUNT",
        }
    }

    /// A level of a newer build is unknown to this one.
    pub(crate) fn from_sql(text: &str) -> Self {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .unwrap_or_default()
    }
}
