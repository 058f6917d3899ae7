//! The other side of ingress: signs a body as its sender would, and posts it.

pub mod sample;

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use sha2::Sha256;
use time::OffsetDateTime;

/// Who signs, and under which path ingress takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    Meta,
    Stripe,
}

impl Sender {
    pub const fn path(self) -> &'static str {
        match self {
            Sender::Meta => "/webhooks/meta",
            Sender::Stripe => "/webhooks/stripe",
        }
    }

    /// The signature header of `body` as posted at `now`.
    pub fn sign(self, secret: &str, body: &[u8], now: OffsetDateTime) -> (HeaderName, String) {
        match self {
            Sender::Meta => {
                let signature = hex::encode(hmac_sha256(secret, &[body]));
                let name = HeaderName::from_static("x-hub-signature-256");
                (name, format!("sha256={signature}"))
            }
            Sender::Stripe => {
                let at = now.unix_timestamp().to_string();
                let signature = hex::encode(hmac_sha256(secret, &[at.as_bytes(), b".", body]));
                let name = HeaderName::from_static("stripe-signature");
                (name, format!("t={at},v1={signature}"))
            }
        }
    }
}

fn hmac_sha256(secret: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What ingress said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: String,
}

/// Ingress' answers are a line; anything longer is not ingress.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Posts over kept-alive connections; clones share them.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    base_url: String,
    timeout: Duration,
}

impl Poster {
    /// `base_url` without a path, such as `http://127.0.0.1:7400`. A post that has
    /// no answer after `timeout` is an error.
    pub fn new(base_url: &str, timeout: Duration) -> Result<Self> {
        anyhow::ensure!(
            base_url.starts_with("http://"),
            "{base_url} is not an http:// URL; TLS ends in front of ingress, not here"
        );
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// Signs with `secret` and posts the bytes as they are.
    pub async fn post(&self, sender: Sender, secret: &str, body: Bytes) -> Result<Answer> {
        let (name, value) = sender.sign(secret, &body, OffsetDateTime::now_utc());
        let url = format!("{}{}", self.base_url, sender.path());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(name, HeaderValue::from_str(&value).expect("hex and digits"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .with_context(|| format!("{url} is not a URL"))?;
        tokio::time::timeout(self.timeout, self.send(request))
            .await
            .with_context(|| format!("{url} did not answer in {:?}", self.timeout))?
            .with_context(|| format!("cannot post to {url}"))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?
            .to_bytes();
        Ok(Answer {
            status,
            retry_after,
            body: String::from_utf8_lossy(&body).trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripe's and Meta's schemes by hand: `printf … | openssl dgst -sha256 -hmac`.
    #[test]
    fn signatures_are_what_openssl_makes() {
        let now = OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap();
        let (_, meta) = Sender::Meta.sign("secret", b"{}", now);
        let (_, stripe) = Sender::Stripe.sign("secret", b"{}", now);
        assert_eq!(
            meta,
            "sha256=77325902caca812dc259733aacd046b73817372c777b8d95b402647474516e13"
        );
        assert_eq!(
            stripe,
            "t=1703500800,v1=789af5a6ec5dbe18a86db9dbc5c82b49c0d05fd444423e005d9088609618dd48"
        );
    }
}
