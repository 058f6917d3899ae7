//! Serving an axum router: what a door to the outside needs besides routes.
//!
//! A request passes, outermost first: span and metrics, panics → 500, rate limit → 429, body size,
//! body time, the routes. The bounds of a body are errors of reading it, so a handler decides what
//! they mean and counts them: one that takes [`RawBody`] answers 413 for a large body, at once where
//! it was announced, and 408 for a slow one; axum's own extractors answer 400 for the second. Whoever
//! is refused while still sending is heard out for a while (`connections`), or the answer would be
//! lost in a reset.

mod observe;
mod rate;
mod raw_body;

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body::Body as _;
use http_body_util::{Full, Limited};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::RuntimeError;
use crate::config::{ConfigError, address, byte_size, check, duration};
use crate::connections::{self, Bounds};
use crate::tasks::panic_message;

pub use rate::RateConfig;
pub use raw_body::RawBody;

/// One HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where to listen; port 0 lets the system choose. Default `127.0.0.1:0`.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// The largest request body; a larger one is answered 413. Default 4MiB.
    #[serde(with = "byte_size")]
    pub max_body: usize,
    /// Connections at one time; further ones are closed at once. Default 1024.
    pub max_connections: usize,
    /// The time for a request's head, and that an idle connection is kept. Default 10s.
    #[serde(with = "duration")]
    pub header_read_timeout: Duration,
    /// The time for a request's whole body, however it trickles. Default 30s.
    #[serde(with = "duration")]
    pub body_read_timeout: Duration,
    /// How long requests may take to finish after a stop. Default 10s.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Limits on requests. Default: none.
    pub rate: RateConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_body: 4 << 20,
            max_connections: 1024,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            rate: RateConfig::default(),
        }
    }
}

impl HttpConfig {
    /// Refuses what could serve nobody, and what would keep a place for ever.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (tenth, hour) = (Duration::from_millis(100), Duration::from_secs(3600));
        check::size("max_body", self.max_body, 1..=1 << 30)?;
        check::count("max_connections", self.max_connections, 1..=1_000_000)?;
        check::time(
            "header_read_timeout",
            self.header_read_timeout,
            tenth..=hour,
        )?;
        check::time("body_read_timeout", self.body_read_timeout, tenth..=hour)?;
        check::time("drain", self.drain, Duration::ZERO..=hour)
    }
}

/// Serves `router` until `stop`, then lets requests finish for at most `config.drain`. `server`
/// names it in logs and metrics. Handlers find the peer as axum's `ConnectInfo<SocketAddr>`.
pub async fn serve(
    server: &str,
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    stop: CancellationToken,
) -> Result<(), RuntimeError> {
    let bounds = Bounds {
        server: server.to_owned(),
        max_connections: config.max_connections,
        header_read_timeout: config.header_read_timeout,
        http2_only: false,
        max_concurrent_streams: 256,
        keepalive: (Duration::from_secs(30), Duration::from_secs(10)),
        drain: config.drain,
    };
    connections::serve(listener, harden(server, router, config), bounds, stop).await;
    Ok(())
}

/// The router inside everything that [`serve`] puts around it, for tests without a socket.
pub fn harden(server: &str, router: Router, config: &HttpConfig) -> Router {
    let observe = observe::Observe::new(server);
    let limiter = rate::Limiter::new(server, &config.rate);
    let max_body = config.max_body;
    // The innermost first: each layer goes around what stands already.
    router
        // axum's own limit of 2 MB would otherwise stand in front of a larger one.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyDeadlineLayer::new(config.body_read_timeout))
        .layer(MapRequestLayer::new(move |request: Request| {
            request.map(|body| limited(body, max_body))
        }))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let limiter = limiter.clone();
            async move { limiter.request(request, next).await }
        }))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let observe = observe.clone();
            async move { observe.request(request, next).await }
        }))
}

/// Reading ends in `LengthLimitError` beyond `max` bytes; where more is announced, before the first.
fn limited(body: Body, max: usize) -> Body {
    if body.size_hint().lower() > max as u64 {
        // Only a `Limited` makes that error; the peer's body is dropped unread.
        return Body::new(Limited::new(Full::from("more"), 0));
    }
    Body::new(Limited::new(body, max))
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(
        panic = panic_message(panic.as_ref()),
        "a request's handler panicked"
    );
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
