//! The fold.
//!
//! | event | row |
//! |---|---|
//! | ActivityRecorded | an entry of the trail |
//! | a command that took effect | an entry of the trail, and its entity's version |
//! | NotificationRaised | a notification, unless its id is there |
//! | NotificationRead | read by this reader, unless it was, or there is no such notification |
//! | WebhookUnrecognized | one more of its source, object, field and problem |
//! | WebhookExpired | as many more as there were changes |
//! | any other | none |
//!
//! All events of topic `activity` of one tenant share a key, so "unless it is
//! there" is decided in log order.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use compline_event::{
    Envelope, Event, EventId, Recorded, TenantId,
    activity_events::{self, ActivityRecorded, NotificationRaised, NotificationRead},
    command::{AdminKeys, Commanded, Verdict, verdict},
    timestamp,
};
use compline_readmodel::FoldError;
use prost_types::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    EXPIRED,
    row::{Activity, Notification, Severity, WebhookCounter},
    told::told,
};

/// Characters. What is longer is cut; four bytes each fit an index entry.
const MAX_NAME: usize = 200;
const MAX_TEXT: usize = 4000;

pub(crate) type RequestKey = (TenantId, String, Uuid);
/// Tenant, reader, notification.
pub(crate) type ReadKey = (TenantId, String, String);
/// Tenant, source, object, field, problem.
pub(crate) type CounterKey = (TenantId, String, String, String, String);

/// What one batch needs to know, and what it adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub(crate) versions: BTreeMap<(TenantId, String), u64>,
    pub(crate) admin_keys: AdminKeys,
    pub(crate) live_before: BTreeSet<(TenantId, String)>,
    pub(crate) decided_before: BTreeSet<RequestKey>,
    pub(crate) raised_before: BTreeSet<(TenantId, String)>,
    pub(crate) read_before: BTreeSet<ReadKey>,

    pub(crate) requests: BTreeSet<RequestKey>,
    pub(crate) activities: BTreeMap<(TenantId, EventId), Activity>,
    pub(crate) notifications: BTreeMap<(TenantId, String), Notification>,
    pub(crate) reads: BTreeMap<ReadKey, OffsetDateTime>,
    pub(crate) counters: BTreeMap<CounterKey, WebhookCounter>,
}

impl Rows {
    /// Those admin keys that the batch issued or revoked, and whether they are live.
    pub(crate) fn take_changed_admin_keys(&mut self) -> Vec<((TenantId, String), bool)> {
        let keys = mem::take(&mut self.admin_keys).into_iter();
        keys.filter(|(key, live)| !live || !self.live_before.contains(key))
            .collect()
    }
}

pub(crate) fn apply(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
    let envelope = &event.envelope;
    match &envelope.event {
        Event::ActivityRecorded(e) => record(rows, event, tenant_of(envelope)?, e),
        Event::NotificationRaised(e) => raise(rows, envelope, tenant_of(envelope)?, e),
        Event::NotificationRead(e) => read(rows, envelope, tenant_of(envelope)?, e),
        Event::WebhookUnrecognized(e) => {
            let names = [&e.source, &e.object, &e.field, &e.problem].map(|n| clean(n, MAX_NAME));
            count(rows, envelope, names, 1, &e.ad_account_id)?;
        }
        Event::WebhookExpired(e) => {
            let names = ["meta", "ad_account", "", EXPIRED].map(str::to_owned);
            count(rows, envelope, names, e.changes.into(), &e.ad_account_id)?;
        }
        _ => command(rows, event)?,
    }
    Ok(())
}

/// Adds a command that takes effect to the trail.
fn command(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
    let envelope = &event.envelope;
    let Some(command) = Commanded::of(envelope).map_err(permanent)? else {
        return Ok(());
    };
    let tenant = tenant_of(envelope)?;
    let entity = (tenant, command.entity);
    let request = (tenant, entity.1.clone(), command.request_id);
    let seen = rows.decided_before.contains(&request) || rows.requests.contains(&request);
    let current = rows.versions.get(&entity).copied().unwrap_or(0);
    let verdict = verdict(seen, current, command.expected_version);
    let keys = &mut rows.admin_keys;
    let verdict = keys.judge(verdict, tenant, &envelope.event, current);
    if verdict != Verdict::Repeated {
        rows.requests.insert(request);
    }
    if verdict != Verdict::Effective {
        return Ok(());
    }
    if let Some(told) = told(&envelope.event) {
        let recorded = ActivityRecorded {
            kind: told.kind.to_owned(),
            subject: entity.1.clone(),
            summary: told.summary,
            happened_at: None,
        };
        record(rows, event, tenant, &recorded);
    }
    rows.versions.insert(entity, current + 1);
    Ok(())
}

fn record(rows: &mut Rows, event: &Recorded, tenant: TenantId, recorded: &ActivityRecorded) {
    let envelope = &event.envelope;
    let entry = rows.activities.entry((tenant, envelope.event_id));
    entry.or_insert_with(|| Activity {
        event_id: envelope.event_id,
        kind: clean(&recorded.kind, MAX_NAME),
        subject: clean(&recorded.subject, MAX_NAME),
        summary: clean(&recorded.summary, MAX_TEXT),
        actor: clean(&envelope.actor, MAX_NAME),
        source: envelope.source.to_string(),
        happened_at: clock(recorded.happened_at.as_ref(), envelope),
        recorded_at: envelope.recorded_at,
        at: event.at,
    });
}

fn raise(rows: &mut Rows, envelope: &Envelope, tenant: TenantId, raised: &NotificationRaised) {
    let id = notification_id(&raised.notification_id);
    let key = (tenant, id.clone());
    if rows.raised_before.contains(&key) {
        return;
    }
    rows.notifications
        .entry(key)
        .or_insert_with(|| Notification {
            notification_id: id,
            severity: match raised.severity() {
                activity_events::Severity::Critical => Severity::Critical,
                activity_events::Severity::Warning => Severity::Warning,
                activity_events::Severity::Info | activity_events::Severity::Unspecified => {
                    Severity::Info
                }
            },
            title: clean(&raised.title, MAX_NAME),
            body: clean(&raised.body, MAX_TEXT),
            subject: clean(&raised.subject, MAX_NAME),
            raised_at: clock(raised.raised_at.as_ref(), envelope),
            read_at: None,
        });
}

/// A read of what is not there would make unread less than it is.
fn read(rows: &mut Rows, envelope: &Envelope, tenant: TenantId, read: &NotificationRead) {
    let (id, reader) = (notification_id(&read.notification_id), reader(&read.reader));
    let notification = (tenant, id.clone());
    let raised = rows.raised_before.contains(&notification)
        || rows.notifications.contains_key(&notification);
    let key = (tenant, reader, id);
    if raised && !rows.read_before.contains(&key) {
        let read_at = clock(read.read_at.as_ref(), envelope);
        rows.reads.entry(key).or_insert(read_at);
    }
}

fn count(
    rows: &mut Rows,
    envelope: &Envelope,
    [source, object, field, problem]: [String; 4],
    more: i64,
    ad_account_id: &str,
) -> Result<(), FoldError> {
    let tenant = tenant_of(envelope)?;
    let key = (
        tenant,
        source.clone(),
        object.clone(),
        field.clone(),
        problem.clone(),
    );
    let counter = rows.counters.entry(key).or_insert_with(|| WebhookCounter {
        source,
        object,
        field,
        problem,
        count: 0,
        last_account: String::new(),
        last_at: envelope.recorded_at,
    });
    counter.count += more;
    counter.last_account = clean(ad_account_id, MAX_NAME);
    counter.last_at = envelope.recorded_at;
    Ok(())
}

/// As it stands in its row.
pub(crate) fn notification_id(id: &str) -> String {
    clean(id, MAX_NAME)
}

/// As it stands in its row.
pub(crate) fn reader(reader: &str) -> String {
    clean(reader, MAX_NAME)
}

/// At most `max` characters, and none that Postgres refuses.
fn clean(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| {
            if c == '\0' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The source's clock where it makes sense, else ours: a time that Postgres has no
/// room for must not park a tenant.
fn clock(at: Option<&Timestamp>, envelope: &Envelope) -> OffsetDateTime {
    let at = at
        .and_then(timestamp::from_proto)
        .unwrap_or(envelope.occurred_at);
    if at.year() < 1970 {
        return envelope.recorded_at;
    }
    at
}

fn tenant_of(envelope: &Envelope) -> Result<TenantId, FoldError> {
    envelope.require_tenant().map_err(permanent)
}

fn permanent(error: impl std::error::Error) -> FoldError {
    FoldError::new(error.to_string())
}

#[cfg(test)]
mod tests;
