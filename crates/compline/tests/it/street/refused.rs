//! Bad input: what each gets, and that nothing comes of it.

use std::sync::Arc;

use bytes::Bytes;
use compline::webhook::Sender;
use compline_event::{Offset, Partition, Topic};
use compline_ingress::sample::{META_APP_SECRET, META_VERIFY_TOKEN, STRIPE_SIGNING_SECRET};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use time::{Duration, OffsetDateTime};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{body::says, call::Doors, show, tenant::Tenant};
use crate::house::House;

const LARGEST_BODY: usize = 4 << 20;

/// Meta asks whether the address is ours before it sends anything.
pub(super) async fn handshake(house: Arc<House>) {
    let asked = |mode: &str, token: &str| {
        let query = format!("hub.mode={mode}&hub.verify_token={token}&hub.challenge=1158201444");
        Request::get(format!("/webhooks/meta?{query}"))
    };
    let answer = send(&house, asked("subscribe", META_VERIFY_TOKEN), "").await;
    assert_eq!(answer, (StatusCode::OK, "1158201444".to_owned()));
    for (mode, token) in [("subscribe", "guessed"), ("unsubscribe", META_VERIFY_TOKEN)] {
        let (status, told) = send(&house, asked(mode, token), "").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{mode} {token}");
        assert!(!told.contains("1158201444"), "{mode} {token}: {told}");
    }
}

/// 401, and nothing is appended to any topic.
pub(super) async fn unsigned(house: Arc<House>) {
    let body = says("7700001", 0, "77000011", r"D\u0049SAPPROVED");
    let now = OffsetDateTime::now_utc();
    let meta = |secret, body: &str| Sender::Meta.sign(secret, body.as_bytes(), now).1;
    let good = meta(META_APP_SECRET, &body);
    let stripe = |secret, at| Sender::Stripe.sign(secret, body.as_bytes(), at).1;
    let decoded = body.replace(r"\u0049", "I");
    let too_old = now - Duration::seconds(301);
    let attempts: Vec<(&str, &str, &str, String)> = vec![
        (
            "not signed",
            "/webhooks/meta",
            "x-not-signed",
            String::new(),
        ),
        (
            "empty",
            "/webhooks/meta",
            "x-hub-signature-256",
            String::new(),
        ),
        (
            "no hash",
            "/webhooks/meta",
            "x-hub-signature-256",
            "sha256=".into(),
        ),
        (
            "no hex",
            "/webhooks/meta",
            "x-hub-signature-256",
            "sha256=hello".into(),
        ),
        (
            "truncated",
            "/webhooks/meta",
            "x-hub-signature-256",
            good[..good.len() - 2].into(),
        ),
        (
            "another secret",
            "/webhooks/meta",
            "x-hub-signature-256",
            meta("other", &body),
        ),
        (
            "another body",
            "/webhooks/meta",
            "x-hub-signature-256",
            meta(META_APP_SECRET, "{}"),
        ),
        (
            "re-encoded",
            "/webhooks/meta",
            "x-hub-signature-256",
            meta(META_APP_SECRET, &decoded),
        ),
        (
            "older scheme",
            "/webhooks/meta",
            "x-hub-signature",
            good.clone(),
        ),
        (
            "other scheme",
            "/webhooks/meta",
            "x-hub-signature-256",
            good.replace("sha256", "sha1"),
        ),
        (
            "not signed",
            "/webhooks/stripe",
            "x-not-signed",
            String::new(),
        ),
        (
            "another secret",
            "/webhooks/stripe",
            "stripe-signature",
            stripe("other", now),
        ),
        (
            "too old",
            "/webhooks/stripe",
            "stripe-signature",
            stripe(STRIPE_SIGNING_SECRET, too_old),
        ),
        (
            "as Meta's",
            "/webhooks/stripe",
            "stripe-signature",
            good.clone(),
        ),
    ];
    house.caught_up().await;
    let before = house.ends().await;
    for (what, path, header, value) in &attempts {
        let request = Request::post(*path).header(*header, value);
        let (status, _) = send(&house, request, body.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {what}");
    }
    assert_eq!(house.ends().await, before);

    // The same bytes well signed are taken, so it was the signatures.
    let request = Request::post("/webhooks/meta").header("x-hub-signature-256", &good);
    assert_eq!(send(&house, request, body.clone()).await.0, StatusCode::OK);
    let value = stripe(STRIPE_SIGNING_SECRET, now);
    let request = Request::post("/webhooks/stripe").header("stripe-signature", value);
    assert_eq!(send(&house, request, body).await.0, StatusCode::OK);
    assert_eq!(webhooks(&house.ends().await), webhooks(&before) + 2);
}

/// 413 from the first byte beyond the limit.
pub(super) async fn too_large(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7700002").await;
    let mut body = says("7700002", 0, "77000021", "PAUSED");
    body.push_str(&" ".repeat(LARGEST_BODY - body.len()));
    house.caught_up().await;
    let before = house.ends().await;
    for more in [1, 20 << 20] {
        let refused = format!("{body}{}", " ".repeat(more));
        let answer = house.send(Sender::Meta, refused).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{more} more");
    }
    assert_eq!(house.ends().await, before);

    house.post(body).await;
    house.caught_up().await;
    assert_eq!(
        show::ad(tenant.ad("77000021").await.unwrap()),
        r#"AD 77000021 of 7700002: "" to "PAUSED" since 0; version 1"#
    );
}

/// Every wrong argument, by the path of its field.
#[rustfmt::skip]
const ARGUMENTS: &[(&str, &str, &[&str])] = &[
    ("query.v1.AdService/GetAd", r#"{"name": "accounts/1"}"#, &["name"]),
    ("query.v1.AdService/GetAd", "{}", &["name"]),
    ("query.v1.AdService/GetAd", r#"{"name": "ads/a b"}"#, &["name"]),
    ("query.v1.AdService/ListAds", r#"{"pageSize": -1}"#, &["page_size"]),
    ("query.v1.AdService/ListAds", r#"{"pageToken": "nonsense"}"#, &["page_token"]),
    ("query.v1.AdService/ListAds", r#"{"filter": "colour = \"red\""}"#, &["filter"]),
    ("query.v1.AdService/ListAds", r#"{"filter": "status > 3"}"#, &["filter"]),
    ("query.v1.AdService/ListAds", r#"{"orderBy": "colour"}"#, &["order_by"]),
    ("query.v1.AdService/ListAdHistory", r#"{"parent": "ads/"}"#, &["parent"]),
    ("query.v1.AdService/CountAds", r#"{"adAccountId": "act_x"}"#, &["ad_account_id"]),
    ("query.v1.AdService/WatchAds", r#"{"filter": "status ="}"#, &["filter"]),
    ("query.v1.AdService/WatchAds", r#"{"resumeToken": "nonsense"}"#, &["resume_token"]),
    ("query.v1.ActivityService/ListActivities", r#"{"subject": "ads/\u0000"}"#, &["subject"]),
    ("query.v1.ActivityService/ListNotifications", r#"{"consistency": {"onTimeout": 9}}"#, &["consistency.on_timeout"]),
    ("query.v1.ActivityService/ListWebhookCounters", r#"{"pageToken": "nonsense"}"#, &["page_token"]),
    ("query.v1.TenancyService/GetTenant", r#"{"consistency": {"maxWait": "-1s"}}"#, &["consistency.max_wait"]),
    ("query.v1.TenancyService/ListAccounts", r#"{"consistency": {"minPosition": [{"topic": "account"}, {"topic": "paint"}]}}"#, &["consistency.min_position[1].topic"]),
    ("query.v1.TenancyService/ListApiKeys", r#"{"consistency": {"minPosition": [{"topic": "tenant", "partition": -1}]}}"#, &["consistency.min_position[0].partition"]),
    ("command.v1.AccountService/ConnectAccount", r#"{"requestId": "42", "adAccountId": "act_x", "displayName": "a\u0007"}"#, &["request_id", "ad_account_id", "display_name"]),
    ("command.v1.AccountService/DisconnectAccount", "{}", &["request_id", "ad_account_id"]),
    ("command.v1.ApiKeyService/CreateApiKey", r#"{"tenant": "tenants/1"}"#, &["request_id", "role", "tenant"]),
    ("command.v1.ApiKeyService/RevokeApiKey", r#"{"name": "ads/1"}"#, &["request_id", "name"]),
    ("command.v1.NotificationService/MarkRead", r#"{"requestId": "x", "name": "notifications/"}"#, &["request_id", "name"]),
    ("command.v1.TenantService/CreateTenant", "{}", &["request_id", "display_name"]),
];

/// INVALID_ARGUMENT, with each field that was wrong.
pub(super) async fn arguments(house: Arc<House>) {
    let tenant = Tenant::create(&house, "Clumsy").await;
    let doors = Doors::of(&house);
    house.caught_up().await;
    let before = house.ends().await;
    for (method, request, expected) in ARGUMENTS {
        let key = match method.contains("TenantService/") {
            true => house.operator_key(),
            false => &tenant.key,
        };
        let method = format!("compline.{method}");
        let refused = doors.call(&method, Some(key), request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{method}: {refused}");
        let details = refused.get_error_details();
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let fields = violations.into_iter().flatten().map(|wrong| &*wrong.field);
        assert_eq!(fields.collect::<Vec<_>>(), *expected, "{method} {request}");
    }
    assert_eq!(house.ends().await, before, "nothing was commanded");
}

/// ABORTED, and nothing changes: neither the row nor who gets the webhooks.
pub(super) async fn stale_version(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7700003").await;
    tenant.disconnect("7700003", None).await.unwrap();
    tenant.connect("7700003").await;
    let accounts = tenant.accounts().await;
    assert_eq!((accounts.len(), accounts[0].version), (1, 3));
    house.caught_up().await;
    let trail = tenant.activities("accounts/7700003").await;
    assert_eq!(trail.len(), 3);

    for stale in [0, 2, 4] {
        let refused = tenant.disconnect("7700003", Some(stale)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        let details = refused.get_error_details();
        let info = details.error_info().expect("what it is at");
        assert_eq!(info.metadata["current_version"], "3");
    }
    let refused = tenant.try_connect("7700003", Some(2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    house.caught_up().await;
    assert_eq!(tenant.accounts().await, accounts);
    assert_eq!(tenant.activities("accounts/7700003").await, trail);

    house.post(says("7700003", 0, "77000031", "ACTIVE")).await;
    house.caught_up().await;
    assert_eq!(tenant.ads().await.len(), 1, "it watches on");
    tenant.disconnect("7700003", Some(3)).await.unwrap();
}

fn webhooks(ends: &[(Topic, Partition, Offset)]) -> i64 {
    let raw = |topic| matches!(topic, Topic::WebhookMeta | Topic::WebhookStripe);
    let ends = ends.iter().filter(|(topic, ..)| raw(*topic));
    ends.map(|(.., end)| end.0).sum()
}

/// To ingress, under `request`'s path; nothing is added.
async fn send(
    house: &House,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> (StatusCode, String) {
    let path = request.uri_ref().unwrap().to_string();
    let url = format!("http://{}{path}", house.at.addresses.ingress);
    let request = request.uri(url).body(Full::new(body.into())).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
