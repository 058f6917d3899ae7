use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use compline_api::{
    command::{
        CreateApiKeyRequest, CreateTenantRequest, RevokeApiKeyRequest, RevokeApiKeyResponse,
    },
    key::ApiKey,
    query::{GetTenantRequest, KeyRole, ListActivitiesRequest, ListApiKeysRequest},
};
use compline_event::Topic;
use compline_tenancy::KEY_TTL;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::street::{Street, by, connect, request_id};

fn name_of(key: &str) -> String {
    format!("apiKeys/{}", key.parse::<ApiKey>().unwrap().key_id)
}

async fn revoke(street: &Street, admin: &str, key: &str) -> Result<RevokeApiKeyResponse, Status> {
    let request = RevokeApiKeyRequest {
        request_id: request_id(),
        name: name_of(key),
        expected_version: None,
    };
    let revoked = street.keys().revoke_api_key(by(admin, request)).await?;
    let revoked = revoked.into_inner();
    assert!(revoked.api_key.as_ref().unwrap().revoke_time.is_some());
    Ok(revoked)
}

async fn enters(street: &Street, key: &str) -> Result<(), Code> {
    let request = by(key, GetTenantRequest::default());
    let entered = street.tenancy().get_tenant(request).await;
    entered.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_enters_by_its_role_until_it_is_revoked() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let request = CreateApiKeyRequest {
        request_id: request_id(),
        display_name: "dashboard".into(),
        role: KeyRole::Standard.into(),
        ..Default::default()
    };
    let made = street
        .keys()
        .create_api_key(by(&admin, request.clone()))
        .await;
    let made = made.unwrap().into_inner();
    let again = street.keys().create_api_key(by(&admin, request)).await;
    let again = again.unwrap().into_inner();
    assert_eq!(again.api_key, made.api_key);
    assert_eq!(again.secret, "", "only its hash was kept");

    let standard = made.secret;
    let auditor = street.key(&admin, KeyRole::Auditor).await;
    for key in [&standard, &auditor] {
        enters(&street, key).await.unwrap();
        let refused = street
            .accounts()
            .connect_account(by(key, connect("1", None)))
            .await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        let refused = revoke(&street, key, &admin).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }

    let theirs = street.tenant("Other").await;
    let refused = revoke(&street, &theirs, &standard).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "another tenant's key");
    let listed = by(&theirs, ListApiKeysRequest::default());
    let listed = street
        .tenancy()
        .list_api_keys(listed)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.api_keys.len(), 1);

    let revoked = revoke(&street, &admin, &standard).await.unwrap();
    let revoked_at = Instant::now();
    let records = street.records_of(Topic::Tenant).await;
    let again = revoke(&street, &admin, &standard).await.unwrap();
    assert!(!revoked.unchanged && again.unchanged);
    assert_eq!(again.api_key, revoked.api_key);
    assert_eq!(street.records_of(Topic::Tenant).await, records);
    loop {
        let since = revoked_at.elapsed();
        match enters(&street, &standard).await {
            Ok(()) => assert!(since < KEY_TTL, "it enters after {since:?}"),
            refused => break assert_eq!(refused, Err(Code::Unauthenticated)),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    enters(&street, &auditor).await.unwrap();

    let (head, secret) = auditor.rsplit_once('_').unwrap();
    let mut guess = secret.to_owned();
    guess.replace_range(..1, if secret.starts_with('0') { "1" } else { "0" });
    let guess = format!("{head}_{guess}");
    assert_eq!(enters(&street, &guess).await, Err(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_an_admin_key_whoever_revokes_at_once() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    street.key(&admin, KeyRole::Standard).await;
    let refused = revoke(&street, &admin, &admin).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("Create another admin key"));
    let details = refused.get_error_details();
    let violations = &details.precondition_failure().unwrap().violations;
    assert_eq!(
        (violations[0].r#type.as_str(), &violations[0].subject),
        ("LAST_ADMIN_KEY", &name_of(&admin))
    );

    // Each of two admins shuts the other out.
    let other = street.key(&admin, KeyRole::Admin).await;
    let (one, two) = tokio::join!(
        revoke(&street, &admin, &other),
        revoke(&street, &other, &admin),
    );
    let (left, refused) = match (one, two) {
        (Ok(_), Err(refused)) => (&admin, refused),
        (Err(refused), Ok(_)) => (&other, refused),
        both => panic!("exactly one is effective: {both:?}"),
    };
    // Who is shut out may be so before the own call is answered.
    let answers = [Code::FailedPrecondition, Code::Unauthenticated];
    assert!(answers.contains(&refused.code()), "{refused}");
    enters(&street, left).await.unwrap();

    let request = ListActivitiesRequest {
        consistency: street.everything().await,
        ..Default::default()
    };
    let trail = street.activity().list_activities(by(left, request)).await;
    let trail = trail.unwrap().into_inner().activities;
    let revoked = trail.iter().filter(|entry| entry.kind == "api_key.revoked");
    assert_eq!(revoked.count(), 1, "the trail agrees: {trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_issues_a_key_of_any_tenant_and_nobody_else_of_anothers() {
    let street = Street::open().await;
    let (ours, theirs) = (street.tenant("Acme").await, street.tenant("Other").await);
    let named = |key: &str| format!("tenants/{}", key.parse::<ApiKey>().unwrap().tenant);
    let issue = async |by_key: &str, tenant: String| {
        let request = CreateApiKeyRequest {
            request_id: request_id(),
            role: KeyRole::Admin.into(),
            tenant,
            ..Default::default()
        };
        let issued = street.keys().create_api_key(by(by_key, request)).await;
        issued.map(|issued| issued.into_inner().secret)
    };
    let operator = street.operator.reveal();
    let key = issue(&operator, named(&ours)).await.unwrap();
    assert_eq!(named(&key), named(&ours));
    revoke(&street, &key, &ours).await.unwrap();
    enters(&street, &key).await.unwrap();

    let key = issue(&theirs, named(&theirs)).await.unwrap();
    assert_eq!(named(&key), named(&theirs));
    let nobody = format!("tenants/{}", request_id());
    for (by_key, tenant, code) in [
        (&theirs, named(&ours), Code::PermissionDenied),
        (&operator, String::new(), Code::InvalidArgument),
        (&operator, "tenants/1".to_owned(), Code::InvalidArgument),
        (&operator, named(&operator), Code::InvalidArgument),
        (&operator, nobody, Code::NotFound),
    ] {
        let refused = issue(by_key, tenant.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{tenant}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_leaves_in_one_answer_and_is_nowhere_else() {
    let logged = listen();
    let street = Street::open().await;
    let operator = street.operator.reveal();
    let request = CreateTenantRequest {
        request_id: request_id(),
        display_name: "Acme".into(),
    };
    let made = street.tenants().create_tenant(by(&operator, request)).await;
    let admin = made.unwrap().into_inner().api_key;
    let standard = street.key(&admin, KeyRole::Standard).await;
    revoke(&street, &admin, &standard).await.unwrap();

    let logged = logged.lock().unwrap().clone();
    let appended = street.bytes_of(Topic::Tenant).await;
    assert!(contains(&logged, b"grpc"), "nothing was logged");
    for key in [&operator, &admin, &standard] {
        let (_, hex) = key.rsplit_once('_').unwrap();
        let bytes = unhex(hex);
        let list = format!("{bytes:?}");
        for secret in [hex.as_bytes(), &bytes, list.as_bytes()] {
            assert!(!contains(&appended, secret), "a secret is in the log");
            assert!(!contains(&logged, secret), "a secret is in what was logged");
        }
    }
    let key: ApiKey = standard.parse().unwrap();
    assert!(contains(&appended, &key.secret_sha256()), "its hash is");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    // Byte for byte a character, for str's search is quick.
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    text(bytes).contains(&text(part))
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// What all threads log from now on, of every level.
fn listen() -> Arc<Mutex<Vec<u8>>> {
    let written = Written::default();
    let writer = written.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    written.0
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
