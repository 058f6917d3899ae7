use compline_api::query::ListAccountsRequest;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::street::{Street, by, connect};

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
