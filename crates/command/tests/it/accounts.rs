use compline_api::{
    command::{ConnectAccountRequest, DisconnectAccountRequest},
    query::{Account, ListAccountsRequest, ListActivitiesRequest},
};
use compline_event::Topic;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::street::{Street, by, connect, request_id};

async fn accounts(street: &Street, key: &str) -> Vec<Account> {
    let request = by(key, ListAccountsRequest::default());
    let answer = street.tenancy().list_accounts(request).await.unwrap();
    answer.into_inner().accounts
}

fn disconnect(account: &str, expected_version: Option<u64>) -> DisconnectAccountRequest {
    DisconnectAccountRequest {
        request_id: request_id(),
        ad_account_id: account.into(),
        expected_version,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_the_same_command_and_appends_nothing() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let request = connect("act_123", None);
    let first = street
        .accounts()
        .connect_account(by(&admin, request.clone()))
        .await;
    let first = first.unwrap().into_inner();
    let account = first.account.clone().unwrap();
    assert_eq!(account.name, "accounts/123");
    assert!(account.connected && account.version == 1);

    let records = street.records_of(Topic::Account).await;
    let again = street
        .accounts()
        .connect_account(by(&admin, request.clone()))
        .await;
    assert_eq!(again.unwrap().into_inner(), first);
    assert_eq!(street.records_of(Topic::Account).await, records);

    // Without the look first, as when two calls cross: the fold decides.
    let crossing = (0..8).map(|_| {
        let (mut client, request) = (street.accounts(), by(&admin, connect("9", Some(0))));
        let id = request.get_ref().request_id.clone();
        let (mut twin, twice) = (street.accounts(), by(&admin, request.get_ref().clone()));
        tokio::spawn(async move {
            let (one, other) =
                tokio::join!(client.connect_account(request), twin.connect_account(twice));
            assert_eq!(one.is_ok(), other.is_ok(), "request {id} is one command");
            one.is_ok()
        })
    });
    let mut effective = 0;
    for pair in crossing.collect::<Vec<_>>() {
        effective += u32::from(pair.await.unwrap());
    }
    assert_eq!(effective, 1, "all expected that there was no account 9");
    assert_eq!(accounts(&street, &admin).await.len(), 2);

    let another = disconnect("123", None);
    let another = DisconnectAccountRequest {
        request_id: request.request_id,
        ..another
    };
    let refused = street
        .accounts()
        .disconnect_account(by(&admin, another))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_already_is_answered_as_it_stands_and_appends_nothing() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let on = async |request| {
        let answer = street.accounts().connect_account(by(&admin, request)).await;
        answer.map(tonic::Response::into_inner)
    };
    let off = async |request| {
        let answer = street
            .accounts()
            .disconnect_account(by(&admin, request))
            .await;
        answer.map(tonic::Response::into_inner)
    };
    let first = on(connect("1", None)).await.unwrap();
    assert!(!first.unchanged);
    let nameless = ConnectAccountRequest {
        display_name: String::new(),
        ..connect("1", Some(1))
    };
    let records = street.records_of(Topic::Account).await;
    for again in [connect("1", None), nameless] {
        let again = on(again).await.unwrap();
        assert!(again.unchanged);
        assert_eq!(again.account, first.account);
        assert_eq!(again.token, first.token, "one place says all of it");
    }
    assert_eq!(street.records_of(Topic::Account).await, records);

    let renamed = ConnectAccountRequest {
        display_name: "Boots".into(),
        ..connect("1", None)
    };
    let renamed = on(renamed).await.unwrap();
    assert!(!renamed.unchanged);
    assert_eq!(renamed.account.unwrap().version, 2);

    // Another version than the expected one is no matter of what stands there.
    let stale = on(connect("1", Some(1))).await.unwrap_err();
    assert_stale(&stale, "2");

    let gone = off(disconnect("1", None)).await.unwrap();
    let again = off(disconnect("1", Some(3))).await.unwrap();
    assert!(!gone.unchanged && again.unchanged);
    assert_eq!(again.account, gone.account);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_expect_one_version_one_is_effective_and_the_other_changes_nothing() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let made = street
        .accounts()
        .connect_account(by(&admin, connect("1", None)))
        .await;
    made.unwrap();

    let rename = |name: &str| ConnectAccountRequest {
        display_name: name.into(),
        ..connect("1", Some(1))
    };
    let (mut here, mut there) = (street.accounts(), street.accounts());
    let (one, other) = (rename("one"), rename("other"));
    let (first, second) = tokio::join!(
        here.connect_account(by(&admin, one.clone())),
        there.connect_account(by(&admin, other.clone())),
    );
    let (won, lost, loser) = match (first, second) {
        (Ok(won), Err(lost)) => (won, lost, other),
        (Err(lost), Ok(won)) => (won, lost, one),
        both => panic!("exactly one is effective: {both:?}"),
    };
    let won = won.into_inner().account.unwrap();
    assert_eq!(won.version, 2);
    assert_stale(&lost, "2");
    let now = accounts(&street, &admin).await;
    assert_eq!(now, [won]);

    // It stays refused, even now that nobody else is in the way.
    let again = street.accounts().connect_account(by(&admin, loser)).await;
    assert_stale(&again.unwrap_err(), "2");
    assert_eq!(accounts(&street, &admin).await, now);

    // The trail agrees: created, key issued, two connects that took effect.
    let request = ListActivitiesRequest {
        consistency: street.everything().await,
        ..Default::default()
    };
    let request = by(&admin, request);
    let mut trail = street
        .activity()
        .list_activities(request)
        .await
        .unwrap()
        .into_inner();
    trail.activities.sort_by(|a, b| a.kind.cmp(&b.kind));
    let kinds: Vec<&str> = trail.activities.iter().map(|a| a.kind.as_str()).collect();
    let connected = "account.connected";
    assert_eq!(
        kinds,
        [connected, connected, "api_key.issued", "tenant.created"]
    );
}

fn assert_stale(refused: &Status, current_version: &str) {
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "STALE_VERSION");
    assert_eq!(info.metadata["current_version"], current_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_sees_and_changes_nothing() {
    let street = Street::open().await;
    let (ours, theirs) = (street.tenant("Acme").await, street.tenant("Other").await);
    let made = street
        .accounts()
        .connect_account(by(&ours, connect("1", None)))
        .await;
    made.unwrap();

    let refused = street
        .accounts()
        .disconnect_account(by(&theirs, disconnect("1", None)))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    assert!(accounts(&street, &theirs).await.is_empty());
    let request = ListActivitiesRequest {
        consistency: street.everything().await,
        ..Default::default()
    };
    let all = by(&theirs, request);
    let trail = street
        .activity()
        .list_activities(all)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(trail.activities.len(), 2, "its own creation and key");

    // The same account may belong to several tenants.
    let made = street
        .accounts()
        .connect_account(by(&theirs, connect("1", Some(0))))
        .await;
    made.unwrap();
    let gone = street
        .accounts()
        .disconnect_account(by(&theirs, disconnect("1", Some(1))))
        .await;
    assert!(!gone.unwrap().into_inner().account.unwrap().connected);
    assert!(accounts(&street, &ours).await[0].connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_argument_is_named() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let request = ConnectAccountRequest {
        request_id: "42".into(),
        ad_account_id: "act_x".into(),
        display_name: "a\u{7}b".into(),
        expected_version: None,
    };
    let refused = street.accounts().connect_account(by(&admin, request)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["request_id", "ad_account_id", "display_name"]);
}
