use compline_api::{command::CreateTenantRequest, query::GetTenantRequest};
use tonic::Code;

use crate::street::{Street, by, connect, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_once_and_only_by_the_operator() {
    let street = Street::open().await;
    let request = CreateTenantRequest {
        request_id: request_id(),
        display_name: "Acme".into(),
    };
    let operator = street.operator.reveal();
    let first = street
        .tenants()
        .create_tenant(by(&operator, request.clone()))
        .await;
    let first = first.unwrap().into_inner();
    let again = street
        .tenants()
        .create_tenant(by(&operator, request.clone()))
        .await;
    let again = again.unwrap().into_inner();
    assert_eq!(again.tenant, first.tenant);
    assert_eq!(again.token, first.token);
    assert_eq!(again.api_key, "", "only its hash was kept");

    let admin = first.api_key;
    let seen = street
        .tenancy()
        .get_tenant(by(&admin, GetTenantRequest::default()))
        .await;
    assert_eq!(seen.unwrap().into_inner().tenant, first.tenant);

    let by_tenant = street
        .tenants()
        .create_tenant(by(&admin, request.clone()))
        .await;
    assert_eq!(by_tenant.unwrap_err().code(), Code::PermissionDenied);
    let by_operator = street
        .accounts()
        .connect_account(by(&operator, connect("1", None)))
        .await;
    assert_eq!(by_operator.unwrap_err().code(), Code::PermissionDenied);
    let another = compline_command::auth::operator_key().reveal();
    let by_another = street.tenants().create_tenant(by(&another, request)).await;
    assert_eq!(by_another.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_calls_with_one_request_id_one_gets_the_key() {
    let street = Street::open().await;
    let request = CreateTenantRequest {
        request_id: request_id(),
        display_name: "Acme".into(),
    };
    let operator = street.operator.reveal();
    let (mut here, mut there) = (street.tenants(), street.tenants());
    let (one, other) = tokio::join!(
        here.create_tenant(by(&operator, request.clone())),
        there.create_tenant(by(&operator, request.clone())),
    );
    let keys = [one, other].map(|made| made.unwrap().into_inner().api_key);
    let given: Vec<&String> = keys.iter().filter(|key| !key.is_empty()).collect();
    let [admin] = given[..] else {
        panic!("{} of two calls got a key", given.len());
    };
    let seen = street
        .tenancy()
        .get_tenant(by(admin, GetTenantRequest::default()))
        .await;
    let tenant = seen.unwrap().into_inner().tenant.unwrap();
    assert_eq!((tenant.display_name.as_str(), tenant.version), ("Acme", 1));
}
