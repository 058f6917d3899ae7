//! An event, checked: what Postgres would refuse is refused here, so that only its
//! key is parked and no batch fails for it.

use std::collections::BTreeMap;

use compline_event::{Event, RecordId, Recorded, TenantId, ad_events, timestamp};
use compline_readmodel::FoldError;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::row::{Ad, Issue, Level};

/// Texts in keys. An index entry holds 2700 bytes, and up to three of them.
const MAX_KEY_BYTES: usize = 512;

/// The earliest year that `timestamptz` has.
const MIN_YEAR: i32 = -4712;

pub(super) struct Fact {
    pub(super) at: RecordId,
    pub(super) tenant: TenantId,
    pub(super) ad_id: String,
    /// Empty when the event did not say.
    pub(super) ad_account_id: String,
    pub(super) level: Level,
    pub(super) recorded_at: OffsetDateTime,
    pub(super) what: What,
}

pub(super) enum What {
    Status(StatusFact),
    Issue { error_code: String, issue: Issue },
}

pub(super) struct StatusFact {
    pub(super) old_status: String,
    pub(super) new_status: String,
    pub(super) reason: String,
    pub(super) placements: Vec<String>,
    pub(super) changed_at: OffsetDateTime,
    pub(super) late: bool,
    pub(super) fetch_needed: bool,
}

impl Fact {
    /// `None` for events that are about no ad.
    pub(super) fn read(recorded: &Recorded) -> Result<Option<Self>, FoldError> {
        let (ad_id, ad_account_id, level, what) = match &recorded.envelope.event {
            Event::AdStatusChanged(event) => {
                let what = What::Status(status(event, recorded)?);
                (&event.ad_id, &event.ad_account_id, event.level(), what)
            }
            Event::AdIssueRaised(event) => {
                let what = issue(event, recorded)?;
                (&event.ad_id, &event.ad_account_id, event.level(), what)
            }
            _ => return Ok(None),
        };
        if ad_id.is_empty() {
            return Err(FoldError::new("ad_id is empty"));
        }
        Ok(Some(Self {
            at: recorded.at,
            tenant: recorded
                .envelope
                .require_tenant()
                .map_err(|error| FoldError::new(error.to_string()))?,
            ad_id: key("ad_id", ad_id)?,
            ad_account_id: key("ad_account_id", ad_account_id)?,
            level: level_of(level),
            recorded_at: storable("recorded_at", recorded.envelope.recorded_at)?,
            what,
        }))
    }

    /// An ad of which nothing is known but that it is.
    pub(super) fn new_ad(&self) -> Ad {
        Ad {
            ad_id: self.ad_id.clone(),
            ad_account_id: String::new(),
            level: Level::Unknown,
            status: String::new(),
            old_status: String::new(),
            reason: String::new(),
            placements: Vec::new(),
            status_changed_at: None,
            fetch_needed: false,
            version: 0,
            updated_at: self.recorded_at,
            partition: self.at.partition,
            offset: self.at.offset,
            issues: BTreeMap::new(),
        }
    }
}

fn status(
    event: &ad_events::AdStatusChanged,
    recorded: &Recorded,
) -> Result<StatusFact, FoldError> {
    Ok(StatusFact {
        old_status: key("old_status", &event.old_status)?,
        new_status: key("new_status", &event.new_status)?,
        reason: text("reason", &event.reason)?,
        placements: event
            .placements
            .iter()
            .map(|placement| text("placements", placement))
            .collect::<Result<_, _>>()?,
        changed_at: clock("changed_at", event.changed_at.as_ref(), recorded)?,
        late: event.late,
        fetch_needed: event.fetch_needed,
    })
}

fn issue(event: &ad_events::AdIssueRaised, recorded: &Recorded) -> Result<What, FoldError> {
    Ok(What::Issue {
        error_code: key("error_code", &event.error_code)?,
        issue: Issue {
            summary: text("summary", &event.summary)?,
            message: text("message", &event.message)?,
            raised_at: clock("raised_at", event.raised_at.as_ref(), recorded)?,
        },
    })
}

fn level_of(level: ad_events::Level) -> Level {
    match level {
        ad_events::Level::Unspecified => Level::Unknown,
        ad_events::Level::Ad => Level::Ad,
        ad_events::Level::AdSet => Level::AdSet,
        ad_events::Level::Campaign => Level::Campaign,
        ad_events::Level::Account => Level::Account,
    }
}

/// Postgres has no NUL in a text.
fn text(field: &str, text: &str) -> Result<String, FoldError> {
    if text.contains('\0') {
        return Err(FoldError::new(format!("{field} has a NUL character")));
    }
    Ok(text.to_owned())
}

fn key(field: &str, key: &str) -> Result<String, FoldError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(FoldError::new(format!(
            "{field} has {} bytes, and {MAX_KEY_BYTES} at most can be stored",
            key.len()
        )));
    }
    text(field, key)
}

/// The source's clock; the envelope has it as well.
fn clock(
    field: &str,
    at: Option<&Timestamp>,
    recorded: &Recorded,
) -> Result<OffsetDateTime, FoldError> {
    let at = match at {
        Some(at) => timestamp::from_proto(at)
            .ok_or_else(|| FoldError::new(format!("{field} is out of range")))?,
        None => recorded.envelope.occurred_at,
    };
    storable(field, at)
}

/// In whole microseconds, as Postgres gives it back: else a batch would compare
/// other times than two halves of it.
fn storable(field: &str, at: OffsetDateTime) -> Result<OffsetDateTime, FoldError> {
    if at.year() < MIN_YEAR {
        return Err(FoldError::new(format!("{field} is out of range")));
    }
    Ok(at
        .replace_nanosecond(at.nanosecond() / 1000 * 1000)
        .expect("fewer nanoseconds are as valid"))
}
