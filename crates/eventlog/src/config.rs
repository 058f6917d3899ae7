//! Where the log is and how its clients are set up.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};
use serde::{Deserialize, Deserializer};

use crate::{LogError, TopicSpec};

/// Where the log is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Brokers to ask first, as `host:port`, comma-separated.
    pub bootstrap: String,
    /// Put before every topic's and group's name, so that several installations
    /// can share a cluster. Letters, digits, `.`, `_`, `-`; up to 64 of them.
    /// Default: none.
    #[serde(default)]
    pub prefix: String,
    /// Replicas of every topic that is made here, 1–10. Above 1, topics are made
    /// with `min.insync.replicas=2`. Default: 1, the embedded log.
    #[serde(default = "one")]
    pub replication: u16,
    /// Further settings of librdkafka, such as `security.protocol` or
    /// `sasl.username`; only those that say how to reach the brokers. Dots may be
    /// levels: `properties.security.protocol` is `properties."security.protocol"`.
    #[serde(default, deserialize_with = "dotted")]
    pub properties: BTreeMap<String, String>,
}

/// What `properties` may hold: how to reach the brokers, how to prove who one is,
/// and what to log of it. Everything else of librdkafka's is ours to set, for the
/// promises and the bounds hang on it.
const YOURS: &[&str] = &[
    "api.version.",
    "broker.address.",
    "broker.version.fallback",
    "client.dns.lookup",
    "client.rack",
    "connections.max.idle.ms",
    "debug",
    "https.ca.",
    "metadata.recovery.",
    "reconnect.backoff.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// Settings of librdkafka whose values people may read in an error.
pub(crate) fn is_plain(key: &str) -> bool {
    let secret = [
        "password", "secret", "key", "jaas", "pem", "token", "config",
    ];
    let told = ["sasl.mechanism", "sasl.mechanisms", "sasl.username"];
    // A misspelt one may be meant for a secret.
    (!key.starts_with("sasl.") || told.contains(&key))
        && !secret.iter().any(|word| key.contains(word))
}

/// How long the log may take with any answer, milliseconds: all of it, so that on a slow
/// line the largest one must come in that time.
const ANSWER_MS: &str = "15000";

fn one() -> u16 {
    1
}

impl LogConfig {
    /// The log at `bootstrap`, everything else by default.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            prefix: String::new(),
            replication: one(),
            properties: BTreeMap::new(),
        }
    }

    /// Refuses what no client could be made with, by its key.
    pub fn check(&self) -> Result<(), LogError> {
        let refuse = |key: &str, found: &str, reason: &str| {
            Err(LogError::Config {
                key: key.to_owned(),
                found: found.to_owned(),
                reason: reason.to_owned(),
            })
        };
        if self.bootstrap.trim().is_empty() {
            return refuse("bootstrap", &self.bootstrap, "it names no broker");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.prefix.len() > 64 || !self.prefix.chars().all(plain) {
            return refuse(
                "prefix",
                &self.prefix,
                "it may have up to 64 letters, digits, '.', '_' and '-'",
            );
        }
        if !(1..=10).contains(&self.replication) {
            let found = self.replication.to_string();
            return refuse("replication", &found, "it is 1 to 10");
        }
        for (key, value) in &self.properties {
            let name = format!("properties.{key}");
            if !YOURS.iter().any(|yours| key.starts_with(yours)) {
                let yours = YOURS.join(", ");
                let reason = format!("only how to reach the brokers may be set: {yours}");
                return refuse(&name, "[redacted]", &reason);
            }
            let mut alone = ClientConfig::new();
            let set = alone.set(key, value).create_native_config();
            let Err(KafkaError::ClientConfig(_, reason, ..)) = set else {
                continue;
            };
            return match is_plain(key) {
                true => refuse(&name, value, &reason),
                false => refuse(&name, "[redacted]", "librdkafka does not take it"),
            };
        }
        Ok(())
    }

    /// What every client has in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "compline")
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            // A broker that restarts is back within a second; the default waits
            // up to ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "50")
            // A connection may end without a word. What was asked on it is asked
            // again on another one after so long; the defaults are a minute, half of
            // one, and 10 s.
            .set("socket.timeout.ms", ANSWER_MS)
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("api.version.request.timeout.ms", "5000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set(
                "message.max.bytes",
                TopicSpec::largest_batch_bytes().to_string(),
            )
            .set_log_level(RDKafkaLogLevel::Info);
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }

    /// A client that reads. `group` is only a name to librdkafka until someone
    /// subscribes.
    pub(crate) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("group.protocol", "classic")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "false")
            .set("check.crcs", "true")
            .set("fetch.min.bytes", "1")
            .set("fetch.error.backoff.ms", "100");
        config
    }
}

/// Names with dots, where a dot may also be a level: in a file it is one unless the
/// name is quoted, and in the environment it always is.
fn dotted<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    fn flatten(level: BTreeMap<String, Node>, above: &str, into: &mut BTreeMap<String, String>) {
        for (name, node) in level {
            let name = format!("{above}{name}");
            match node {
                Node::Level(below) => flatten(below, &format!("{name}."), into),
                Node::Text(text) => drop(into.insert(name, text)),
                Node::Number(number) => drop(into.insert(name, number.to_string())),
                Node::Truth(truth) => drop(into.insert(name, truth.to_string())),
            }
        }
    }
    let mut properties = BTreeMap::new();
    flatten(BTreeMap::deserialize(from)?, "", &mut properties);
    Ok(properties)
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "text, a number, true or false, or a table of them"
)]
enum Node {
    Text(String),
    Number(i64),
    Truth(bool),
    Level(BTreeMap<String, Node>),
}

/// Properties may hold passwords.
impl fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: BTreeMap<_, _> = self
            .properties
            .keys()
            .map(|key| (key, "[redacted]"))
            .collect();
        f.debug_struct("LogConfig")
            .field("bootstrap", &self.bootstrap)
            .field("prefix", &self.prefix)
            .field("replication", &self.replication)
            .field("properties", &properties)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> LogConfig {
        let mut config = LogConfig::new("127.0.0.1:9092");
        config.properties.insert(key.into(), value.into());
        config
    }

    #[test]
    fn only_the_way_to_the_brokers_may_be_set_and_no_secret_is_told() {
        for (key, value) in [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.password", "hunter2"),
            ("socket.timeout.ms", "1000"),
        ] {
            with(key, value).check().unwrap();
        }
        for (key, told) in [
            ("acks", false),
            ("max.in.flight.requests.per.connection", false),
            ("plugin.library.paths", false),
            ("session.timeout.ms", false),
            ("sasl.pasword", false),
            ("ssl.key.pasword", false),
            ("security.protocol", true),
            ("socket.timeout.mss", true),
        ] {
            let error = with(key, "hunter2").check().unwrap_err().to_string();
            assert!(error.contains(&format!("properties.{key} ")), "{error}");
            assert_eq!(error.contains("hunter2"), told, "{error}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let config = with("sasl.password", "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
