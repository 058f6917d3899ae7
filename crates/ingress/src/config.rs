//! What ingress can be told. Bad settings stop it at start, by name.

use std::net::SocketAddr;
use std::time::Duration;

use compline_event::Topic;
use compline_eventlog::{AppenderConfig, TopicSpec};
use compline_runtime::config::{byte_size, check, duration};
use compline_runtime::http::HttpConfig;
use compline_runtime::{ConfigError, Secret};
use serde::Deserialize;

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
    /// App secrets, any of which may have signed a delivery. Default: none; then there must be no
    /// verify token either.
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

    /// Refuses what could serve nobody, lose what was taken, or be forged. The keys are this
    /// struct's own.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.http.check().map_err(|error| error.below("http"))?;
        let (tenth, second) = (Duration::from_millis(100), Duration::from_secs(1));
        let minutes = Duration::from_secs(600);
        check::time("delivery_timeout", self.delivery_timeout, tenth..=minutes)?;
        check::time("linger", self.linger, Duration::ZERO..=second)?;
        let largest_body = [Topic::WebhookMeta, Topic::WebhookStripe]
            .map(|topic| TopicSpec::of(topic).max_record_bytes - BESIDE_BODY_BYTES)
            .into_iter()
            .min()
            .expect("there are two topics");
        // The log would refuse a larger record.
        check::size("http.max_body", self.http.max_body, 1..=largest_body)?;
        check::size(
            "body_memory",
            self.body_memory,
            self.http.max_body..=1 << 40,
        )?;
        let needed = 2 * self.delivery_timeout;
        if self.http.drain < needed {
            let found = duration::format(self.http.drain);
            let needed = duration::format(needed);
            let expected = format!(
                "at least {needed}, twice delivery_timeout, or a stop would cut what waits for the log"
            );
            return Err(ConfigError::invalid("http.drain", found, expected));
        }
        Ok(())
    }

    /// Refuses secrets that nobody, or anybody, could have signed with. Only whoever opens the door
    /// needs them, so they are checked apart from the rest.
    pub fn check_secrets(&self) -> Result<(), ConfigError> {
        if self.meta.app_secrets.is_empty() && !self.meta.verify_tokens.is_empty() {
            let expected = "at least one, as there are meta.verify_tokens (without both, Meta's \
                webhooks are not taken)";
            return Err(ConfigError::invalid("meta.app_secrets", "none", expected));
        }
        if self.meta.app_secrets.is_empty() && self.stripe.signing_secrets.is_empty() {
            let expected =
                "at least one, here or in stripe.signing_secrets, or nothing could come in";
            return Err(ConfigError::invalid("meta.app_secrets", "none", expected));
        }
        for (key, secret) in self.secrets() {
            let refuse = |found| Err(ConfigError::invalid(key, found, "a secret of your own"));
            let text = secret.expose();
            if text.is_empty() {
                return refuse("an empty one, with which anyone could sign");
            }
            if text.trim() != text {
                return refuse("one that begins or ends with white space, which no secret does");
            }
            if is_sample(secret) && !self.allow_sample_secrets {
                return refuse("a documented sample, without allow_sample_secrets");
            }
        }
        let address = self.http.listen;
        match self.sample_open_to_others(address) {
            Some(key) => {
                let found = format!("a documented sample, with http.listen = {address}");
                let expected = "a secret of your own, or a loopback address";
                Err(ConfigError::invalid(key, found, expected))
            }
            None => Ok(()),
        }
    }

    /// The key of a sample secret, where `address` is one that others can reach.
    pub(crate) fn sample_open_to_others(&self, address: SocketAddr) -> Option<&'static str> {
        if address.ip().is_loopback() {
            return None;
        }
        let (key, _) = self.secrets().find(|(_, secret)| is_sample(secret))?;
        Some(key)
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
