//! Given these records, then these outputs.

use compline_ad::{AdEngine, State};
use compline_engine::{Engine, Output, Outputs};
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, TenantId, Topic,
    account_events::{AccountConnected, AccountDisconnected},
    activity_events::Severity,
    ad_events::Level,
    envelope_proto::Precondition,
    timestamp,
    webhook_events::WebhookReceived,
};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

/// When everything begins; the records' own clock.
pub(crate) const START: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// `START` as Meta writes it.
pub(crate) const T: i64 = 1_772_366_400;

pub(crate) const ONE: TenantId = TenantId::new(Uuid::from_u128(1));
pub(crate) const TWO: TenantId = TenantId::new(Uuid::from_u128(2));

/// A webhook at `offset` of webhook.meta/0, recorded `after` the start.
pub(crate) fn webhook(offset: i64, after: Duration, body: impl AsRef<[u8]>) -> Recorded {
    let event = Event::WebhookReceived(WebhookReceived {
        body: body.as_ref().to_vec().into(),
        ..Default::default()
    });
    record(Topic::WebhookMeta, offset, after, None, event)
}

pub(crate) fn connect(offset: i64, after: Duration, tenant: TenantId, account: &str) -> Recorded {
    let event = Event::AccountConnected(AccountConnected {
        ad_account_id: account.to_owned(),
        precondition: Some(request(offset.unsigned_abs().into(), None)),
        ..Default::default()
    });
    record(Topic::Account, offset, after, Some(tenant), event)
}

pub(crate) fn disconnect(
    offset: i64,
    after: Duration,
    tenant: TenantId,
    account: &str,
) -> Recorded {
    let event = Event::AccountDisconnected(AccountDisconnected {
        ad_account_id: account.to_owned(),
        precondition: Some(request(offset.unsigned_abs().into(), None)),
    });
    record(Topic::Account, offset, after, Some(tenant), event)
}

/// The command's precondition, replaced.
pub(crate) fn asking(mut record: Recorded, request_id: u128, version: Option<u64>) -> Recorded {
    let precondition = Some(request(request_id, version));
    match &mut record.envelope.event {
        Event::AccountConnected(event) => event.precondition = precondition,
        Event::AccountDisconnected(event) => event.precondition = precondition,
        other => panic!("{} is not commanded", other.type_name()),
    }
    record
}

fn request(request_id: u128, expected_version: Option<u64>) -> Precondition {
    Precondition {
        request_id: Uuid::from_u128(request_id).as_bytes().to_vec().into(),
        expected_version,
    }
}

pub(crate) fn record(
    topic: Topic,
    offset: i64,
    after: Duration,
    tenant: Option<TenantId>,
    event: Event,
) -> Recorded {
    let at = RecordId {
        topic,
        partition: Partition(0),
        offset: Offset(offset),
    };
    let recorded_at = START + after;
    Recorded {
        at,
        key: Default::default(),
        envelope: Envelope {
            event_id: EventId::derived("test", at, ""),
            tenant,
            occurred_at: recorded_at,
            recorded_at,
            source: Source::MetaWebhook,
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event,
        },
    }
}

/// A body of one entry.
pub(crate) fn body(object: &str, entry_id: &str, time: i64, changes: &str) -> String {
    format!(
        r#"{{"object":"{object}","entry":[{{"id":"{entry_id}","time":{time},"changes":[{changes}]}}]}}"#
    )
}

/// What our relay sends.
pub(crate) fn relayed(account: &str, time: i64, ad: &str, status: &str) -> String {
    format!(
        r#"{{"entry":[{{"id":"{account}","time":{time},"changes":[{{"field":"ad_status","value":{{"ad_id":"{ad}","ad_account_id":"{account}","status":"{status}"}}}}]}}]}}"#
    )
}

/// Decides the inputs one after another, with one memory.
pub(crate) fn decide(inputs: &[Recorded]) -> Vec<Output> {
    let mut state = State::default();
    decide_on(&mut state, inputs)
}

pub(crate) fn decide_on(state: &mut State, inputs: &[Recorded]) -> Vec<Output> {
    let mut outputs = Outputs::default();
    for input in inputs {
        AdEngine
            .decide(state, input, &mut outputs)
            .unwrap_or_else(|error| panic!("{}: {error}", input.at));
    }
    outputs.into_vec()
}

pub(crate) fn lines(outputs: &[Output]) -> Vec<String> {
    outputs.iter().map(line).collect()
}

/// The id that the frame gives an output.
pub(crate) fn id(output: &Output) -> EventId {
    EventId::derived(AdEngine::NAME, output.about, &output.slot)
}

/// Everything that an event says, in one line.
pub(crate) fn line(output: &Output) -> String {
    let tenant = output.tenant.as_uuid().as_u128();
    let since = |at: &Option<_>| {
        let at = at.as_ref().and_then(timestamp::from_proto).expect("a time");
        (at - START).whole_seconds()
    };
    let said = match &output.event {
        Event::AdStatusChanged(e) => format!(
            "status of {} {}/{}: {:?} to {:?} at {}{}{}{}{}",
            level(e.level()),
            e.ad_account_id,
            e.ad_id,
            e.old_status,
            e.new_status,
            since(&e.changed_at),
            if e.late { ", late" } else { "" },
            if e.fetch_needed { ", fetch" } else { "" },
            if e.reason.is_empty() {
                String::new()
            } else {
                format!(", {}", e.reason)
            },
            if e.placements.is_empty() {
                String::new()
            } else {
                format!(", on {:?}", e.placements)
            },
        ),
        Event::AdIssueRaised(e) => format!(
            "issue of {} {}/{}: {:?} {:?} {:?} at {}",
            level(e.level()),
            e.ad_account_id,
            e.ad_id,
            e.error_code,
            e.summary,
            e.message,
            since(&e.raised_at),
        ),
        Event::AccountStatusChanged(e) => format!(
            "account {}: {} to {}, reason {} at {}{}",
            e.ad_account_id,
            e.old_status,
            e.new_status,
            e.disable_reason,
            since(&e.changed_at),
            if e.late { ", late" } else { "" },
        ),
        Event::ActivityRecorded(e) => format!(
            "activity {} of {}: {} at {}",
            e.kind,
            e.subject,
            e.summary,
            since(&e.happened_at),
        ),
        Event::NotificationRaised(e) => {
            assert_eq!(e.notification_id, id(output).to_string());
            let severity = match e.severity() {
                Severity::Critical => "CRITICAL",
                Severity::Warning => "WARNING",
                Severity::Info => "INFO",
                Severity::Unspecified => "?",
            };
            format!("{severity} of {}: {} | {}", e.subject, e.title, e.body)
        }
        Event::WebhookUnrecognized(e) => format!(
            "unrecognized {} {:?} {:?} of {:?}: {}",
            e.source, e.object, e.field, e.ad_account_id, e.problem,
        ),
        Event::WebhookExpired(e) => format!("expired {}: {}", e.ad_account_id, e.changes),
        other => panic!("{} is no output of ours", other.type_name()),
    };
    format!("{tenant} {said}")
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Ad => "ad",
        Level::AdSet => "ad set",
        Level::Campaign => "campaign",
        Level::Account => "account",
        Level::Unspecified => "object",
    }
}
