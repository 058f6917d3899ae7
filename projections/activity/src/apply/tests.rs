use compline_event::{
    Offset, Partition, RecordId, Source,
    account_events::{AccountConnected, AccountDisconnected},
    activity_events::{WebhookExpired, WebhookUnrecognized},
    envelope_proto::Precondition,
    tenant_events::{ApiKeyIssued, ApiKeyRevoked, Role},
};
use time::Duration;

use super::*;

const TENANT: TenantId = TenantId::new(Uuid::from_u128(7));

fn fold(events: impl IntoIterator<Item = Event>) -> Rows {
    let mut rows = Rows::default();
    for (index, event) in (0..).zip(events) {
        apply(&mut rows, &recorded(index, event)).unwrap();
    }
    rows
}

fn recorded(index: i64, event: Event) -> Recorded {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::seconds(index);
    let (topic, key) = event.destination(TENANT).unwrap();
    Recorded {
        at: RecordId {
            topic,
            partition: Partition(0),
            offset: Offset(index),
        },
        key,
        envelope: Envelope {
            event_id: EventId::new(Uuid::from_u128(index.unsigned_abs().into())),
            tenant: Some(TENANT),
            occurred_at: at,
            recorded_at: at,
            source: Source::User,
            actor: "k1".into(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event,
        },
    }
}

fn connect(request: u8, expected_version: Option<u64>) -> Event {
    Event::AccountConnected(AccountConnected {
        ad_account_id: "1".into(),
        display_name: "Shoes".into(),
        precondition: Some(Precondition {
            request_id: vec![request; 16].into(),
            expected_version,
        }),
    })
}

fn raised(id: &str) -> Event {
    Event::NotificationRaised(NotificationRaised {
        notification_id: id.into(),
        title: "An ad was disapproved".into(),
        ..Default::default()
    })
}

fn was_read(id: &str, reader: &str) -> Event {
    Event::NotificationRead(NotificationRead {
        notification_id: id.into(),
        reader: reader.into(),
        read_at: None,
    })
}

#[test]
fn only_commands_that_took_effect_stand_in_the_trail() {
    let disconnect = Event::AccountDisconnected(AccountDisconnected {
        ad_account_id: "1".into(),
        precondition: Some(Precondition {
            request_id: vec![4; 16].into(),
            expected_version: Some(1),
        }),
    });
    let rows = fold([
        connect(1, Some(0)),
        connect(2, Some(0)),
        connect(1, None),
        connect(2, None),
        disconnect,
    ]);
    let trail: Vec<_> = rows.activities.values().collect();
    let kinds: Vec<&str> = trail.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["account.connected", "account.disconnected"]);
    assert_eq!(trail[0].subject, "accounts/1");
    assert_eq!(trail[0].actor, "k1");
    assert!(trail[0].summary.contains("Shoes"));
}

#[test]
fn only_admin_keys_that_the_batch_changed_are_written() {
    let precondition = |request: u8| {
        Some(Precondition {
            request_id: vec![request; 16].into(),
            expected_version: None,
        })
    };
    let mut rows = Rows::default();
    for id in ["kept", "revoked"] {
        let key = (TENANT, id.to_owned());
        rows.admin_keys.insert_live(TENANT, key.1.clone());
        rows.live_before.insert(key);
    }
    let issued = Event::ApiKeyIssued(ApiKeyIssued {
        key_id: "issued".into(),
        role: Role::Admin.into(),
        precondition: precondition(1),
        ..Default::default()
    });
    let revoked = Event::ApiKeyRevoked(ApiKeyRevoked {
        key_id: "revoked".into(),
        precondition: precondition(2),
        ..Default::default()
    });
    for (index, event) in (0..).zip([issued, revoked]) {
        apply(&mut rows, &recorded(index, event)).unwrap();
    }
    let changed = rows.take_changed_admin_keys();
    let changed: Vec<_> = (changed.iter().map(|((_, id), live)| (id.as_str(), *live))).collect();
    assert_eq!(changed, [("issued", true), ("revoked", false)]);
}

#[test]
fn reading_twice_is_reading_once_and_each_reader_reads_alone() {
    let rows = fold([
        raised("a"),
        raised("a"),
        was_read("a", "x"),
        was_read("a", "x"),
        was_read("a", "y"),
        was_read("never raised", "x"),
    ]);
    assert_eq!(rows.notifications.len(), 1);
    let readers: Vec<&str> = rows
        .reads
        .keys()
        .map(|(_, reader, _)| reader.as_str())
        .collect();
    assert_eq!(readers, ["x", "y"]);
    let first = rows.reads.values().next().unwrap();
    assert_eq!(*first, OffsetDateTime::UNIX_EPOCH + Duration::seconds(2));
}

#[test]
fn what_is_not_known_is_counted_by_kind() {
    let unknown = |field: &str| {
        Event::WebhookUnrecognized(WebhookUnrecognized {
            source: "meta".into(),
            field: field.into(),
            ..Default::default()
        })
    };
    let expired = Event::WebhookExpired(WebhookExpired {
        ad_account_id: "9".into(),
        changes: 40,
    });
    let rows = fold([
        unknown("a"),
        unknown("b"),
        unknown("a"),
        expired.clone(),
        expired,
    ]);
    let mut counts: Vec<i64> = rows.counters.values().map(|c| c.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 80]);
    assert!(rows.activities.is_empty());
}

#[test]
fn text_that_postgres_would_refuse_is_cleaned_and_times_it_has_no_room_for_are_ours() {
    let odd = Event::ActivityRecorded(ActivityRecorded {
        kind: "ad.status_changed".into(),
        subject: "ä".repeat(5000),
        summary: "a\0b".into(),
        happened_at: Some(Timestamp {
            seconds: -300_000_000_000,
            nanos: 0,
        }),
    });
    let rows = fold([odd]);
    let entry = rows.activities.values().next().unwrap();
    assert_eq!(entry.subject.chars().count(), MAX_NAME);
    assert_eq!(entry.summary, "a\u{fffd}b");
    assert_eq!(entry.happened_at, OffsetDateTime::UNIX_EPOCH);
}
