//! Where the log is and how its clients are set up.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};
use serde::Deserialize;

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
    /// `sasl.username`. Those that the promises hang on are refused.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// What `properties` may not touch: another value would break a promise.
const OURS: &[&str] = &[
    "acks",
    "request.required.acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "delivery.timeout.ms",
    "message.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "group.protocol",
    "isolation.level",
    "message.max.bytes",
    "partition.assignment.strategy",
    "partitioner",
    "transactional.id",
];

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

    pub(crate) fn check(&self) -> Result<(), LogError> {
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
        if let Some(key) = self.properties.keys().find(|k| OURS.contains(&k.as_str())) {
            let reason = "compline sets it: its promises hang on it";
            return refuse(&format!("properties.{key}"), &self.properties[key], reason);
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

    #[test]
    fn what_the_promises_hang_on_is_refused_and_named() {
        let mut config = LogConfig::new("127.0.0.1:9092");
        config.properties.insert("acks".into(), "1".into());
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("properties.acks"), "{error}");
    }

    #[test]
    fn a_password_is_not_printed() {
        let mut config = LogConfig::new("127.0.0.1:9092");
        config
            .properties
            .insert("sasl.password".into(), "hunter2".into());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
