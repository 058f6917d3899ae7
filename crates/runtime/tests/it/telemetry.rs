//! Logs, metrics and traces are set up once for a process, so this is one test.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use compline_runtime::telemetry::trace_context::{current_traceparent, set_parent, traceparent};
use compline_runtime::telemetry::{TelemetryConfig, init};
use compline_runtime::{Health, admin};
use tower::ServiceExt;

use crate::grpc::echo::EchoClient;
use crate::grpc::{self, keyed};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_carried_on_and_metrics_are_shown() {
    assert_eq!(current_traceparent(), None);
    // Nobody listens there; spans are made all the same.
    let config = TelemetryConfig {
        otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
        log: "warn".to_owned(),
        ..TelemetryConfig::default()
    };
    let telemetry = init("test", &config).unwrap();
    assert!(init("test", &config).is_err(), "a process has one log");

    let span = tracing::info_span!("child");
    assert!(!set_parent(&span, "00-zz-b7ad6b7169203331-01"));
    assert!(!set_parent(
        &span,
        "00-00000000000000000000000000000000-b7ad6b7169203331-01"
    ));
    assert!(set_parent(&span, PARENT));
    let own = traceparent(&span).unwrap();
    assert_eq!(own[..36], PARENT[..36], "the same trace");
    assert_ne!(own[36..52], PARENT[36..52], "another span");
    span.in_scope(|| assert_eq!(current_traceparent(), Some(own)));

    // Across a gRPC call.
    let mut echo = EchoClient::new(grpc::open().await.channel);
    let mut request = keyed("trace");
    request
        .metadata_mut()
        .insert("traceparent", PARENT.parse().unwrap());
    let in_method = echo.say(request).await.unwrap().into_inner();
    assert_eq!(in_method[..36], PARENT[..36], "{in_method}");
    for _ in 0..3 {
        // Callers can invent methods, and must not make labels of them.
        echo.unknown(keyed("hi")).await.unwrap_err();
    }

    metrics::histogram!("wait_seconds").record(0.02);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let recorded = telemetry.metrics();
    let router = admin::router(Health::new(), Some(Arc::new(move || recorded.render())));
    let body = router.oneshot(request).await.unwrap().into_body();
    let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    // Other tests of this process count too.
    for (series, at_least) in [
        (
            r#"grpc_requests_total{service="test.Echo",method="Say",code="OK"} "#,
            1,
        ),
        (
            r#"grpc_requests_total{service="other",method="other",code="UNIMPLEMENTED"} "#,
            3,
        ),
        (
            r#"grpc_request_seconds_count{service="test.Echo",method="Say"} "#,
            1,
        ),
        (r#"wait_seconds_bucket{le="0.025"} "#, 1),
    ] {
        let count: Option<u64> = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.parse().ok());
        assert!(count >= Some(at_least), "{series} {count:?}:\n{text}");
    }
    assert!(
        text.contains("# HELP grpc_requests_total gRPC requests answered"),
        "{text}"
    );
    assert!(!text.contains("Sing"), "{text}");
}
