//! The operator's door: `/healthz`, `/readyz`, `/metrics`. Carries no secret, asks for no key; keep
//! its address private all the same.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::Health;

/// Writes all metrics in Prometheus' text format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Routes for [`crate::http::serve`]. Without `metrics`, `/metrics` is 404.
///
/// - `/healthz`: 200 as long as the process answers; the checks are in the body.
/// - `/readyz`: 200 when the process serves, else 503; the checks are in the body.
pub fn router(health: Health, metrics: Option<Render>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health);
    if let Some(metrics) = metrics {
        router = router.route("/metrics", get(move || render(metrics.clone())));
    }
    router
}

async fn healthz(State(health): State<Health>) -> Response {
    Json(json!({ "serves": health.serves(), "checks": health.report() })).into_response()
}

async fn readyz(State(health): State<Health>) -> Response {
    let serves = health.serves();
    let status = match serves {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = Json(json!({ "serves": serves, "checks": health.report() }));
    (status, body).into_response()
}

async fn render(metrics: Render) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics()).into_response()
}
