//! The rows, as the fold makes them and the views return them.

use compline_event::{EventId, RecordId};
use time::OffsetDateTime;

/// An entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub event_id: EventId,
    /// Such as `ad.status_changed`.
    pub kind: String,
    /// A resource name.
    pub subject: String,
    pub summary: String,
    pub actor: String,
    pub source: String,
    /// By the source's clock.
    pub happened_at: OffsetDateTime,
    /// By ours; the trail's order.
    pub recorded_at: OffsetDateTime,
    pub at: RecordId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub notification_id: String,
    pub severity: Severity,
    pub title: String,
    pub body: String,
    pub subject: String,
    pub raised_at: OffsetDateTime,
    /// When the reader who asks has read it.
    pub read_at: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// Webhooks of one kind that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCounter {
    pub source: String,
    pub object: String,
    pub field: String,
    pub problem: String,
    pub count: i64,
    /// Of the last one; empty when it named none.
    pub last_account: String,
    pub last_at: OffsetDateTime,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    pub(crate) fn from_sql(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "info" => Ok(Severity::Info),
            "warning" => Ok(Severity::Warning),
            "critical" => Ok(Severity::Critical),
            other => Err(sqlx::Error::Decode(
                format!("no severity is called {other:?}").into(),
            )),
        }
    }
}
