//! A span and metrics for each HTTP request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use metrics::{counter, histogram};
use tracing::{Instrument, field};

use crate::metric_definitions::{HTTP_REQUESTS, HTTP_SECONDS};

#[derive(Debug, Clone)]
pub(super) struct Observe {
    server: Arc<str>,
}

impl Observe {
    pub(super) fn new(server: &str) -> Self {
        Self {
            server: server.into(),
        }
    }

    /// The span starts a trace of its own: whoever calls from outside does not choose our ids.
    pub(super) async fn request(&self, request: Request, next: Next) -> Response {
        let method = method_label(request.method());
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
        let span = tracing::info_span!(
            "http",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            http.request.method = method,
            http.route = route,
            http.response.status_code = field::Empty,
        );
        let started = Instant::now();
        let response = next.run(request).instrument(span.clone()).await;
        let status = response.status().as_u16();
        span.record("http.response.status_code", status);
        let server = self.server.to_string();
        histogram!(
            HTTP_SECONDS,
            "server" => server.clone(), "method" => method, "route" => route.clone()
        )
        .record(started.elapsed());
        counter!(
            HTTP_REQUESTS,
            "server" => server, "method" => method, "route" => route, "status" => status.to_string()
        )
        .increment(1);
        response
    }
}

/// Peers may invent methods; a label must not grow with them.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
