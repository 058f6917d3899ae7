//! What ingress can be told. Bad settings stop it at start, by name.

use std::net::SocketAddr;
use std::time::Duration;

use compline_event::Topic;
use compline_eventlog::{AppenderConfig, TopicSpec};
use compline_runtime::Secret;
use compline_runtime::config::{byte_size, duration};
use compline_runtime::http::HttpConfig;
use serde::Deserialize;

use crate::error::IngressError;
use crate::sample::is_sample;

/// Room in a record for what stands beside the body: the envelope and the kept headers, whose
/// whole head the HTTP server bounds at about 400 KiB.
const BESIDE_BODY_BYTES: usize = 1 << 20;

/// The door for webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngressConfig {
    /// The HTTP server: address, body limit, connections, time-outs, drain, rate. Default: that of
    /// every server, on port 8080 of the loopback address.
    pub http: HttpConfig,
    /// Meta's webhooks. Default: no secrets, and then `/webhooks/meta` is not there.
    pub meta: MetaConfig,
    /// Stripe's webhooks. Default: no secrets, and then `/webhooks/stripe` is not there.
    pub stripe: StripeConfig,
    /// How long a delivery may wait for a place in the log's queue, and as long again for the log's
    /// acknowledgement, before its sender is told to come again (503). Default 5s.
    #[serde(with = "duration")]
    pub delivery_timeout: Duration,
    /// How long a delivery waits for others to share a batch with. Default 0s: under load batches
    /// form by themselves, and without it nobody should wait.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// Memory for bodies that are being read or wait for the log, over all connections; when it is
    /// used up, deliveries are answered 503. At least `http.max_body`. Default 256MiB.
    #[serde(with = "byte_size")]
    pub body_memory: usize,
    /// Whether the documented sample secrets may be used; on an address that is not loopback they
    /// are refused all the same. Default false.
    pub allow_sample_secrets: bool,
}

/// Meta's webhooks. Several values are live at a time, so that one can be replaced without a gap.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetaConfig {
    /// App secrets, any of which may have signed a delivery. Default: none.
    pub app_secrets: Vec<Secret>,
    /// Any of these may be named when Meta asks whether the endpoint is ours. Default: none.
    pub verify_tokens: Vec<Secret>,
}

/// Stripe's webhooks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StripeConfig {
    /// Endpoint secrets (`whsec_…`), any of which may have signed a delivery. Default: none.
    pub signing_secrets: Vec<Secret>,
}

impl Default for IngressConfig {
    fn default() -> Self {
        Self {
            http: HttpConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                ..HttpConfig::default()
            },
            meta: MetaConfig::default(),
            stripe: StripeConfig::default(),
            delivery_timeout: Duration::from_secs(5),
            linger: Duration::ZERO,
            body_memory: 256 << 20,
            allow_sample_secrets: false,
        }
    }
}

impl IngressConfig {
    /// How the appender that ingress is given should be made.
    pub fn appender(&self) -> AppenderConfig {
        AppenderConfig {
            delivery_timeout: Some(self.delivery_timeout),
            linger: self.linger,
            ..AppenderConfig::with_timeout()
        }
    }

    pub(crate) fn check(&self) -> Result<(), IngressError> {
        let refuse = |key, found: String, reason| Err(IngressError::Config { key, found, reason });
        if self.meta.app_secrets.is_empty() && self.stripe.signing_secrets.is_empty() {
            let reason =
                "neither it nor stripe.signing_secrets has a secret, so nothing could come in";
            return refuse("meta.app_secrets", "none".to_owned(), reason);
        }
        let largest_body = [Topic::WebhookMeta, Topic::WebhookStripe]
            .map(|topic| TopicSpec::of(topic).max_record_bytes - BESIDE_BODY_BYTES)
            .into_iter()
            .min()
            .expect("there are two topics");
        if self.http.max_body > largest_body {
            let found = byte_size::format(self.http.max_body as u64);
            return refuse("http.max_body", found, "the log would refuse such a record");
        }
        if self.body_memory < self.http.max_body {
            let found = byte_size::format(self.body_memory as u64);
            return refuse("body_memory", found, "it is below http.max_body");
        }
        if self.http.drain < 2 * self.delivery_timeout {
            let found = duration::format(self.http.drain);
            let reason =
                "it is below twice delivery_timeout: a stop would cut what waits for the log";
            return refuse("http.drain", found, reason);
        }
        self.check_secrets()?;
        self.check_address(self.http.listen)
    }

    fn check_secrets(&self) -> Result<(), IngressError> {
        for (key, secret) in self.secrets() {
            let refuse = |reason| {
                let found = "[redacted]".to_owned();
                Err(IngressError::Config { key, found, reason })
            };
            let text = secret.expose();
            if text.is_empty() {
                return refuse("it is empty: anyone could sign");
            }
            if text.trim() != text {
                return refuse("it begins or ends with white space, which is part of no secret");
            }
            if is_sample(secret) && !self.allow_sample_secrets {
                return refuse("it is a documented sample; see allow_sample_secrets");
            }
        }
        Ok(())
    }

    /// Refuses the sample secrets on an address that others can reach.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), IngressError> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        match self.secrets().find(|(_, secret)| is_sample(secret)) {
            Some((key, _)) => Err(IngressError::SampleSecret { key, address }),
            None => Ok(()),
        }
    }

    fn secrets(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        [
            ("meta.app_secrets", &self.meta.app_secrets),
            ("meta.verify_tokens", &self.meta.verify_tokens),
            ("stripe.signing_secrets", &self.stripe.signing_secrets),
        ]
        .into_iter()
        .flat_map(|(key, secrets)| secrets.iter().map(move |secret| (key, secret)))
    }
}
