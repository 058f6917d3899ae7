use compline_event::{
    EventId, Offset, Partition, RecordId, Source,
    account_events::{AccountConnected, AccountDisconnected},
    envelope_proto::Precondition,
    tenant_events::{ApiKeyRevoked, OrganizationCreated},
};
use time::{Duration, OffsetDateTime};

use super::*;

const TENANT: TenantId = TenantId::new(Uuid::from_u128(7));

/// The fold of `events`, one second and one offset apart.
fn fold(events: impl IntoIterator<Item = Event>) -> Rows {
    let mut rows = Rows::default();
    for (index, event) in events.into_iter().enumerate() {
        apply(&mut rows, &recorded(index, event)).unwrap();
    }
    rows
}

fn recorded(index: usize, event: Event) -> Recorded {
    let index = i64::try_from(index).unwrap();
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
            event_id: EventId::new(Uuid::from_u128(1)),
            tenant: Some(TENANT),
            occurred_at: at,
            recorded_at: at,
            source: Source::User,
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event,
        },
    }
}

fn second(second: i64) -> Option<OffsetDateTime> {
    Some(OffsetDateTime::UNIX_EPOCH + Duration::seconds(second))
}

fn when(request: u8, expected_version: Option<u64>) -> Option<Precondition> {
    Some(Precondition {
        request_id: vec![request; 16].into(),
        expected_version,
    })
}

fn connect(name: &str, request: u8, expected: Option<u64>) -> Event {
    Event::AccountConnected(AccountConnected {
        ad_account_id: "act_1".into(),
        display_name: name.into(),
        precondition: when(request, expected),
    })
}

fn disconnect(request: u8, expected: Option<u64>) -> Event {
    Event::AccountDisconnected(AccountDisconnected {
        ad_account_id: "1".into(),
        precondition: when(request, expected),
    })
}

fn issue(hash: u8, request: u8) -> Event {
    issue_to("k", tenant_events::Role::Auditor, hash, request)
}

fn issue_to(key_id: &str, role: tenant_events::Role, hash: u8, request: u8) -> Event {
    Event::ApiKeyIssued(ApiKeyIssued {
        key_id: key_id.into(),
        display_name: "ops".into(),
        secret_sha256: vec![hash; 32].into(),
        role: role.into(),
        precondition: when(request, None),
    })
}

fn revoke(request: u8) -> Event {
    revoke_of("k", false, request)
}

fn revoke_of(key_id: &str, spares_last_admin: bool, request: u8) -> Event {
    Event::ApiKeyRevoked(ApiKeyRevoked {
        key_id: key_id.into(),
        precondition: when(request, None),
        spares_last_admin,
    })
}

fn status(new_status: i32, late: bool) -> Event {
    Event::AccountStatusChanged(AccountStatusChanged {
        ad_account_id: "1".into(),
        new_status,
        late,
        ..Default::default()
    })
}

fn the_account(rows: &Rows) -> &Account {
    rows.accounts.values().next().unwrap()
}

fn outcome_of(rows: &Rows, request: u8) -> (Outcome, u64, i64) {
    let request_id = Uuid::from_bytes([request; 16]);
    let request = rows.requests.values().find(|r| r.request_id == request_id);
    let request = request.unwrap();
    (request.outcome, request.version, request.at.offset.0)
}

#[test]
fn of_two_that_race_on_one_version_the_first_in_the_log_wins() {
    let rows = fold([
        connect("first", 1, Some(0)),
        connect("second", 2, Some(0)),
        disconnect(3, Some(1)),
    ]);
    assert_eq!(outcome_of(&rows, 1), (Outcome::Effective, 1, 0));
    assert_eq!(outcome_of(&rows, 2), (Outcome::Stale, 1, 1));
    assert_eq!(outcome_of(&rows, 3), (Outcome::Effective, 2, 2));
    let account = the_account(&rows);
    assert_eq!(account.display_name, "first");
    assert_eq!((account.connected, account.version), (false, 2));
}

#[test]
fn a_repeated_request_changes_nothing_even_a_stale_one_that_would_hold_now() {
    let once = fold([connect("a", 1, None), disconnect(2, Some(9))]);
    let again = fold([
        connect("a", 1, None),
        disconnect(2, Some(9)),
        connect("b", 1, None),
        disconnect(2, None),
        disconnect(1, None),
    ]);
    assert_eq!(once, again);
    assert!(the_account(&again).connected);
}

#[test]
fn connecting_what_is_connected_renames_it_and_keeps_since_when() {
    let rows = fold([
        connect("a", 1, None),
        connect("b", 2, None),
        connect("", 3, None),
    ]);
    let account = the_account(&rows);
    assert_eq!(account.display_name, "b");
    assert_eq!((account.connected_at, account.version), (second(0), 3));

    let rows = fold([
        connect("a", 1, None),
        disconnect(2, None),
        connect("", 3, None),
    ]);
    assert_eq!(the_account(&rows).connected_at, second(2));
}

#[test]
fn what_an_engine_says_is_no_command() {
    let rows = fold([connect("a", 1, None), status(2, false), status(1, true)]);
    let account = the_account(&rows);
    assert_eq!(account.status, 2, "a late change is not the current status");
    assert_eq!((account.status_changed_at, account.version), (second(1), 1));
}

#[test]
fn a_revoked_key_stays_revoked_and_an_issued_one_keeps_its_secret() {
    let rows = fold([issue(1, 1), issue(2, 2), revoke(3), revoke(4), issue(3, 5)]);
    let key = rows.keys.values().next().unwrap();
    assert_eq!(key.secret_sha256, [1; 32]);
    assert_eq!(key.role, Role::Auditor);
    assert_eq!((key.issued_at, key.revoked_at), (second(0), second(2)));
    assert_eq!(key.version, 5);

    let rows = fold([revoke(1), issue(1, 2)]);
    assert_eq!(rows.keys.values().next().unwrap().revoked_at, second(0));
}

#[test]
fn of_two_that_revoke_the_last_two_admin_keys_the_first_in_the_log_does() {
    let two = || [("a", 1), ("b", 2)].map(|(id, n)| issue_to(id, tenant_events::Role::Admin, n, n));
    let live = |rows: &Rows| -> Vec<String> {
        let is_live = |key: &&ApiKey| key.role == Role::Admin && key.revoked_at.is_none();
        let admins = rows.keys.values().filter(is_live);
        admins.map(|key| key.key_id.clone()).collect()
    };
    let racing = [revoke_of("a", true, 3), revoke_of("b", true, 4)];
    let rows = fold(two().into_iter().chain(racing));
    assert_eq!(outcome_of(&rows, 3), (Outcome::Effective, 2, 2));
    assert_eq!(outcome_of(&rows, 4), (Outcome::LastAdmin, 1, 3));
    assert_eq!(live(&rows), ["b"]);

    // The refused one stays refused, a new one is free once there is another admin.
    let again = [
        revoke_of("a", true, 3),
        revoke_of("b", true, 4),
        issue_to("c", tenant_events::Role::Admin, 5, 5),
        revoke_of("b", true, 4),
        revoke_of("b", true, 6),
    ];
    let rows = fold(two().into_iter().chain(again));
    assert_eq!(outcome_of(&rows, 6), (Outcome::Effective, 2, 6));
    assert_eq!(live(&rows), ["c"]);

    // Another role's key, and an event that asks for no mercy.
    let rows = fold(two().into_iter().chain([
        issue(7, 7),
        revoke_of("a", true, 3),
        revoke_of("k", true, 8),
        revoke_of("b", false, 9),
    ]));
    assert_eq!(outcome_of(&rows, 8).0, Outcome::Effective);
    assert!(live(&rows).is_empty());
}

#[test]
fn a_request_id_is_known_per_entity() {
    let organization = Event::OrganizationCreated(OrganizationCreated {
        display_name: "Acme".into(),
        precondition: when(1, None),
    });
    let rows = fold([organization, issue(1, 1), connect("a", 1, None)]);
    let of_all = rows.requests.values();
    assert!(of_all.clone().all(|r| r.outcome == Outcome::Effective));
    assert_eq!(of_all.count(), 3);
}

#[test]
fn what_can_never_be_applied_says_why() {
    let of = |event| apply(&mut Rows::default(), &recorded(0, event)).unwrap_err();
    let bare = Event::AccountConnected(AccountConnected {
        ad_account_id: "1".into(),
        ..Default::default()
    });
    assert!(of(bare).reason.contains("precondition"));
    let nameless = Event::AccountDisconnected(AccountDisconnected {
        precondition: when(1, None),
        ..Default::default()
    });
    assert!(of(nameless).reason.contains("ad_account_id"));
    let Event::ApiKeyIssued(mut short) = issue(1, 1) else {
        unreachable!()
    };
    short.secret_sha256 = vec![1; 31].into();
    assert!(of(Event::ApiKeyIssued(short)).reason.contains("31 bytes"));
}
