use bytes::Bytes;
use compline_event::{
    Envelope, Offset, Partition, RecordId, Source, Topic,
    ad_events::{AdIssueRaised, AdStatusChanged, Level as ProtoLevel},
    timestamp::to_proto,
};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::*;
use crate::row::Level;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const TENANT: TenantId = TenantId::new(Uuid::from_u128(7));

/// The nth event of a log about ad 1; recorded n seconds after noon.
fn event(offset: i64, event: impl Into<Event>) -> Recorded {
    Recorded {
        at: RecordId {
            topic: Topic::Ad,
            partition: Partition(3),
            offset: Offset(offset),
        },
        key: Bytes::from_static(b"7/1"),
        envelope: Envelope {
            event_id: EventId::new(Uuid::from_u128(offset.unsigned_abs().into())),
            tenant: Some(TENANT),
            occurred_at: NOON,
            recorded_at: NOON + Duration::seconds(offset),
            source: Source::MetaWebhook,
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event: event.into(),
        },
    }
}

/// Meta says `status`, `minute` minutes after noon.
fn status(minute: i64, status: &str) -> AdStatusChanged {
    AdStatusChanged {
        ad_account_id: "123".into(),
        ad_id: "1".into(),
        level: ProtoLevel::Ad.into(),
        old_status: String::new(),
        new_status: status.into(),
        reason: format!("because {status}"),
        placements: vec!["feed".into()],
        changed_at: Some(to_proto(NOON + Duration::minutes(minute))),
        late: false,
        fetch_needed: false,
    }
}

fn issue(minute: i64, error_code: &str) -> AdIssueRaised {
    AdIssueRaised {
        ad_account_id: "123".into(),
        ad_id: "1".into(),
        level: ProtoLevel::Unspecified.into(),
        error_code: error_code.into(),
        summary: "No card".into(),
        message: "Add a card".into(),
        raised_at: Some(to_proto(NOON + Duration::minutes(minute))),
    }
}

fn fold(events: impl IntoIterator<Item = Event>) -> Rows {
    let mut rows = Rows::default();
    for (offset, payload) in events.into_iter().enumerate() {
        let offset = i64::try_from(offset).unwrap();
        apply(&mut rows, &event(offset, payload)).unwrap();
    }
    rows
}

fn folded(events: impl IntoIterator<Item = Event>) -> Ad {
    let rows = fold(events);
    rows.ads[&(TENANT, "1".to_owned())].ad.clone().unwrap()
}

fn changed(event: AdStatusChanged) -> Event {
    Event::AdStatusChanged(event)
}

fn raised(event: AdIssueRaised) -> Event {
    Event::AdIssueRaised(event)
}

#[test]
fn a_change_becomes_the_current_state_and_history() {
    let rows = fold([
        changed(status(0, "ACTIVE")),
        changed(AdStatusChanged {
            old_status: "ACTIVE".into(),
            ..status(1, "DISAPPROVED")
        }),
    ]);
    let ad = rows.ads[&(TENANT, "1".to_owned())].ad.clone().unwrap();
    assert_eq!(
        ad,
        Ad {
            ad_id: "1".into(),
            ad_account_id: "123".into(),
            level: Level::Ad,
            status: "DISAPPROVED".into(),
            old_status: "ACTIVE".into(),
            reason: "because DISAPPROVED".into(),
            placements: vec!["feed".into()],
            status_changed_at: Some(NOON + Duration::minutes(1)),
            fetch_needed: false,
            version: 2,
            updated_at: NOON + Duration::seconds(1),
            partition: Partition(3),
            offset: Offset(1),
            issues: BTreeMap::new(),
        }
    );
    let statuses: Vec<&str> = rows
        .history
        .iter()
        .map(|(_, change)| change.new_status.as_str())
        .collect();
    assert_eq!(statuses, ["ACTIVE", "DISAPPROVED"]);
}

#[test]
fn a_late_change_is_history_and_only_counted() {
    let late = AdStatusChanged {
        late: true,
        ..status(-5, "PAUSED")
    };
    let before = folded([changed(status(0, "ACTIVE"))]);
    let rows = fold([changed(status(0, "ACTIVE")), changed(late)]);
    let ad = rows.ads[&(TENANT, "1".to_owned())].ad.clone().unwrap();
    assert_eq!(
        ad,
        Ad {
            version: 2,
            updated_at: NOON + Duration::seconds(1),
            offset: Offset(1),
            ..before
        }
    );
    assert!(rows.history[1].1.late);
}

#[test]
fn a_change_without_a_value_asks_for_a_fetch_until_a_value_comes() {
    let no_value = AdStatusChanged {
        fetch_needed: true,
        ..status(1, "")
    };
    let ad = folded([changed(status(0, "ACTIVE")), changed(no_value.clone())]);
    assert!(ad.fetch_needed);
    assert_eq!(ad.status, "ACTIVE");
    assert_eq!(ad.status_changed_at, Some(NOON));

    let ad = folded([changed(no_value), changed(status(2, "PAUSED"))]);
    assert!(!ad.fetch_needed);
    assert_eq!(ad.status, "PAUSED");
}

#[test]
fn an_unknown_status_survives_and_a_known_level_is_not_forgotten() {
    let ad = folded([
        changed(status(0, "ACTIVE")),
        changed(AdStatusChanged {
            level: ProtoLevel::Unspecified.into(),
            ..status(1, "QUANTUM_PAUSED")
        }),
    ]);
    assert_eq!(ad.status, "QUANTUM_PAUSED");
    assert_eq!(ad.level, Level::Ad);
}

#[test]
fn an_issue_stays_open_until_a_status_says_otherwise() {
    let open = |status_after: Option<AdStatusChanged>| {
        let events = [raised(issue(0, "1359188"))].into_iter();
        let ad = folded(events.chain(status_after.map(changed)));
        ad.issues.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(open(None), ["1359188"]);
    for closes in ["ACTIVE", "PREAPPROVED", "ARCHIVED", "DELETED"] {
        assert!(open(Some(status(1, closes))).is_empty(), "{closes}");
    }
    for keeps in [
        "WITH_ISSUES",
        "DISAPPROVED",
        "PAUSED",
        "PENDING_REVIEW",
        "NEW_ONE",
    ] {
        assert_eq!(open(Some(status(1, keeps))), ["1359188"], "{keeps}");
    }
    let late = AdStatusChanged {
        late: true,
        ..status(1, "ACTIVE")
    };
    assert_eq!(open(Some(late)), ["1359188"]);
}

#[test]
fn an_issue_older_than_what_closed_it_stays_closed() {
    let issues = |raised_at: i64| {
        folded([changed(status(5, "ACTIVE")), raised(issue(raised_at, "1"))]).issues
    };
    assert!(issues(4).is_empty());
    assert_eq!(issues(5).len(), 1, "equal times go by log order");
}

#[test]
fn an_ad_with_only_issues_has_an_empty_status() {
    let ad = folded([raised(issue(0, "1"))]);
    assert_eq!((ad.status.as_str(), ad.status_changed_at), ("", None));
    assert_eq!(ad.version, 1);
}

#[test]
fn counts_are_what_is_added_and_every_place_is_named() {
    let rows = fold([
        raised(issue(0, "1")),
        changed(status(1, "ACTIVE")),
        changed(status(2, "PAUSED")),
        changed(status(3, "PAUSED")),
    ]);
    let counts: Vec<(&str, i64)> = rows
        .counts
        .iter()
        .map(|((_, account, status), ads)| {
            assert_eq!(account, "123");
            (status.as_str(), *ads)
        })
        .collect();
    assert_eq!(counts, [("", 0), ("ACTIVE", 0), ("PAUSED", 1)]);
}

#[test]
fn what_no_table_can_take_is_refused_and_changes_nothing() {
    let long = "x".repeat(513);
    let far = prost_types::Timestamp {
        seconds: -300_000_000_000,
        nanos: 0,
    };
    let status = || status(0, "ACTIVE");
    let refused = [
        AdStatusChanged {
            reason: "a\0b".into(),
            ..status()
        },
        AdStatusChanged {
            placements: vec!["\0".into()],
            ..status()
        },
        AdStatusChanged {
            ad_id: "1\0".into(),
            ..status()
        },
        AdStatusChanged {
            ad_id: String::new(),
            ..status()
        },
        AdStatusChanged {
            new_status: long.clone(),
            ..status()
        },
        AdStatusChanged {
            changed_at: Some(far),
            ..status()
        },
    ];
    let refused = refused.into_iter().map(changed).chain([
        raised(AdIssueRaised {
            message: "\0".into(),
            ..issue(0, "1")
        }),
        raised(issue(0, &long)),
    ]);
    for refused in refused {
        let mut rows = fold([changed(status())]);
        let before = rows.clone();
        assert!(
            apply(&mut rows, &event(1, refused.clone())).is_err(),
            "{refused:?}"
        );
        assert_eq!(rows, before, "{refused:?}");
    }
    let mut nobodys = event(0, changed(status()));
    nobodys.envelope.tenant = None;
    assert!(apply(&mut Rows::default(), &nobodys).is_err());
}
