//! One registry, asked over HTTP. gRPC health is in `grpc.rs`.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use compline_runtime::{Health, admin, health::State};
use tower::ServiceExt;

async fn get(health: &Health, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = admin::router(health.clone(), None)
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 65_536).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn ready_means_that_every_check_serves() {
    let health = Health::new();
    assert_eq!(get(&health, "/readyz").await.0, StatusCode::OK);
    let log = health.register("log");
    let store = health.register("store");
    log.ready();
    assert_eq!(
        get(&health, "/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    store.degraded("slow disk");
    let (status, body) = get(&health, "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.contains("slow disk") && body.contains("\"log\""),
        "{body}"
    );
    store.is(State::Starting {
        reason: Some("an hour behind".to_owned()),
    });
    let (status, body) = get(&health, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("an hour behind"), "{body}");
    store.ready();
    health.stopping();
    assert_eq!(
        get(&health, "/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(get(&health, "/healthz").await.0, StatusCode::OK);
    assert_eq!(get(&health, "/metrics").await.0, StatusCode::NOT_FOUND);
}
