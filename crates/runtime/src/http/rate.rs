//! Rate limits on requests: for all peers together and for each peer's address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, StatusCode, header};
use metrics::{Counter, counter};
use serde::Deserialize;

use crate::metric_definitions::HTTP_RATE_LIMITED;

/// Addresses that are remembered; beyond them the ones that are quiet now are forgotten.
const MAX_PEERS: usize = 65_536;

/// Requests that are let in; the rest is answered 429 with `Retry-After`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateConfig {
    /// From all peers together, requests/s, with a burst of one second's worth. Default 0: no limit.
    pub global_per_second: u32,
    /// From one address, requests/s, with a burst of one second's worth. Useless behind a proxy
    /// that hides its clients' addresses. Default 0: no limit.
    pub per_ip_per_second: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    global: Option<DefaultDirectRateLimiter>,
    per_ip: Option<PerIp>,
    global_refused: Counter,
    per_ip_refused: Counter,
}

impl Limiter {
    pub(super) fn new(server: &str, config: &RateConfig) -> Self {
        let refused = |limit: &'static str| counter!(HTTP_RATE_LIMITED, "server" => server.to_owned(), "limit" => limit);
        Self(Arc::new(Inner {
            global: NonZeroU32::new(config.global_per_second)
                .map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            per_ip: NonZeroU32::new(config.per_ip_per_second).map(PerIp::new),
            global_refused: refused("global"),
            per_ip_refused: refused("per_ip"),
        }))
    }

    pub(super) async fn request(&self, request: Request, next: Next) -> Response {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        // The peer's own limit first: what it is refused must not use up everybody's.
        if let (Some(per_ip), Some(ConnectInfo(peer))) = (&self.0.per_ip, peer)
            && let Err(wait_seconds) = per_ip.check(peer.ip())
        {
            self.0.per_ip_refused.increment(1);
            return too_many(wait_seconds);
        }
        if let Some(global) = &self.0.global
            && let Err(wait_seconds) = check(global)
        {
            self.0.global_refused.increment(1);
            return too_many(wait_seconds);
        }
        next.run(request).await
    }
}

/// A limiter for each address. One lock is enough: it is held for a look-up, and a server that
/// limits its peers is not one that answers a million of them a second.
#[derive(Debug)]
struct PerIp {
    quota: Quota,
    peers: Mutex<HashMap<IpAddr, DefaultDirectRateLimiter>>,
}

impl PerIp {
    fn new(rate: NonZeroU32) -> Self {
        Self {
            quota: Quota::per_second(rate),
            peers: Mutex::default(),
        }
    }

    fn check(&self, peer: IpAddr) -> Result<(), u64> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MAX_PEERS && !peers.contains_key(&peer) {
            // Forgetting early is lenient for a moment; growing for ever is an outage.
            peers.clear();
        }
        let limiter = peers
            .entry(peer)
            .or_insert_with(|| RateLimiter::direct(self.quota));
        check(limiter)
    }
}

fn check(limiter: &DefaultDirectRateLimiter) -> Result<(), u64> {
    limiter.check().map_err(|until| {
        let wait = until.wait_time_from(DefaultClock::default().now());
        wait.as_secs().max(1)
    })
}

fn too_many(wait_seconds: u64) -> Response {
    let retry_after = [(header::RETRY_AFTER, HeaderValue::from(wait_seconds))];
    (StatusCode::TOO_MANY_REQUESTS, retry_after).into_response()
}
