use std::time::Duration;

use compline_api::{
    command::{ConnectAccountRequest, CreateTenantRequest},
    query::ListAccountsRequest,
};
use compline_command::CommandError;
use compline_event::{Event, Topic, account_events::AccountConnected};
use compline_eventlog::AppenderConfig;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::street::{Street, by, connect, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_comes_late_is_had_by_the_same_request_id() {
    let mut street = Street::open().await;
    let admin = street.tenant("Acme").await;
    street.stop_projecting().await;

    let request = connect("1", Some(0));
    let late = street
        .accounts()
        .connect_account(by(&admin, request.clone()))
        .await;
    let late = late.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let details = late.get_error_details();
    assert!(details.error_info().unwrap().metadata["appended"].starts_with("account/"));

    street.project();
    let again = street.accounts().connect_account(by(&admin, request)).await;
    assert_eq!(again.unwrap().into_inner().account.unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_log_a_command_is_refused_and_reads_go_on() {
    let mut street = Street::open().await;
    let admin = street.tenant("Acme").await;
    street.crash_the_log();

    let refused = street
        .accounts()
        .connect_account(by(&admin, connect("1", None)))
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.get_error_details().retry_info().is_some());
    let read = by(&admin, ListAccountsRequest::default());
    street.tenancy().list_accounts(read).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_does_not_part_the_events_of_a_request() {
    // The second event waits until the first is acknowledged.
    let mut street = Street::with_appender(AppenderConfig {
        delivery_timeout: Some(Duration::from_secs(60)),
        max_queued_records: 1,
        ..AppenderConfig::with_timeout()
    })
    .await;
    street.tenant("Acme").await;
    assert_eq!(street.records_of(Topic::Tenant).await, 2);
    street.crash_the_log();

    let body = CreateTenantRequest {
        request_id: request_id(),
        display_name: "Initech".into(),
    };
    let operator = street.operator.reveal();
    let mut tenants = street.tenants();
    let call = tenants.create_tenant(by(&operator, body.clone()));
    let answered = tokio::time::timeout(Duration::from_secs(2), call).await;
    assert!(answered.is_err(), "{answered:?}");

    street.mend_the_log().await;
    let both = async {
        while street.records_of(Topic::Tenant).await < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("the first key follows its tenant");
    // The answer with the key was lost, and no other has it.
    let again = street.tenants().create_tenant(by(&operator, body)).await;
    assert_eq!(again.unwrap().into_inner().api_key, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appender_that_failed_for_good_ends_the_service() {
    let mut street = Street::open().await;
    let admin = street.tenant("Acme").await;
    // What holds already is not appended.
    let named = |name: &str| ConnectAccountRequest {
        display_name: name.into(),
        ..connect("1", None)
    };
    for name in ["Shoes", "Boots"] {
        let request = by(&admin, named(name));
        street.accounts().connect_account(request).await.unwrap();
    }
    street.stop_projecting().await;
    street.replace_the_log().await;
    // The new log gives the service's producer id to another, as no log should: so
    // what the service appends next is out of sequence.
    let connected = Event::AccountConnected(AccountConnected {
        ad_account_id: "1".into(),
        ..Default::default()
    });
    street.tell(&admin, connected).await;

    let called = async {
        while !street.serving.is_finished() {
            let request = by(&admin, named("Hats"));
            let refused = street.accounts().connect_account(request).await;
            assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), called)
        .await
        .expect("the service ends");
    let ended = street.serving.await.unwrap().unwrap_err();
    assert!(matches!(ended, CommandError::Appender { .. }), "{ended}");
}
