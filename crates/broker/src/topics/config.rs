//! A topic's settings under Kafka's names: which there are, what they may be, what they mean.

use std::collections::BTreeMap;

use crate::config::TopicDefaults;
use crate::log::LogSettings;

/// What was set for one topic; the rest has defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicConfig(BTreeMap<&'static str, String>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    Unknown {
        key: String,
    },
    Value {
        key: String,
        found: String,
        must: &'static str,
    },
}

/// Kafka's codes of the types of settings, for DescribeConfigs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    String = 2,
    Int = 3,
    Long = 5,
    List = 7,
}

/// A setting that topics have.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    must: &'static str,
    is_fine: fn(&str) -> bool,
    pub(crate) default: fn(&TopicDefaults) -> String,
    pub(crate) help: &'static str,
}

fn number_in(value: &str, range: std::ops::RangeInclusive<i64>) -> bool {
    value
        .parse()
        .is_ok_and(|number: i64| range.contains(&number))
}

/// All of them, by name.
pub(crate) const SETTINGS: [Setting; 9] = [
    Setting {
        key: "cleanup.policy",
        kind: Kind::List,
        must: "be delete; this broker does not compact",
        is_fine: |value| value == "delete",
        default: |_| "delete".into(),
        help: "What happens to old segments.",
    },
    Setting {
        key: "compression.type",
        kind: Kind::String,
        must: "be producer; batches are kept as they were sent",
        is_fine: |value| value == "producer",
        default: |_| "producer".into(),
        help: "How batches are compressed on disk.",
    },
    Setting {
        key: "max.message.bytes",
        kind: Kind::Int,
        must: "be a number from 1 to 2147483647",
        is_fine: |value| number_in(value, 1..=i64::from(i32::MAX)),
        default: |defaults| defaults.max_message_bytes.to_string(),
        help: "The largest record batch, bytes.",
    },
    Setting {
        key: "message.timestamp.type",
        kind: Kind::String,
        must: "be CreateTime or LogAppendTime",
        is_fine: |value| value == "CreateTime" || value == "LogAppendTime",
        default: |_| "CreateTime".into(),
        help: "Whose clock stamps the records.",
    },
    Setting {
        key: "min.insync.replicas",
        kind: Kind::Int,
        must: "be 1; there is one node",
        is_fine: |value| value == "1",
        default: |_| "1".into(),
        help: "Replicas that must have a record before it is acknowledged.",
    },
    Setting {
        key: "retention.bytes",
        kind: Kind::Long,
        must: "be -1 or more",
        is_fine: |value| number_in(value, -1..=i64::MAX),
        default: |defaults| defaults.retention_bytes.to_string(),
        help: "Bytes of one partition that are kept; -1 is no limit.",
    },
    Setting {
        key: "retention.ms",
        kind: Kind::Long,
        must: "be -1 or more",
        is_fine: |value| number_in(value, -1..=i64::MAX),
        default: |defaults| defaults.retention_ms.to_string(),
        help: "Milliseconds that records are kept; -1 is for ever.",
    },
    Setting {
        key: "segment.bytes",
        kind: Kind::Int,
        must: "be a number from 14 to 1073741824",
        is_fine: |value| number_in(value, 14..=1 << 30),
        default: |defaults| defaults.segment_bytes.to_string(),
        help: "Bytes after which a new segment file begins.",
    },
    Setting {
        key: "segment.ms",
        kind: Kind::Long,
        must: "be 1 or more",
        is_fine: |value| number_in(value, 1..=i64::MAX),
        default: |defaults| defaults.segment_ms.to_string(),
        help: "Milliseconds after which a new segment file begins.",
    },
];

impl TopicConfig {
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let setting = setting(key)?;
        let value = value.trim();
        if !(setting.is_fine)(value) {
            return Err(ConfigError::Value {
                key: key.into(),
                found: value.into(),
                must: setting.must,
            });
        }
        self.0.insert(setting.key, value.to_owned());
        Ok(())
    }

    /// Back to the default.
    pub(crate) fn unset(&mut self, key: &str) -> Result<(), ConfigError> {
        self.0.remove(setting(key)?.key);
        Ok(())
    }

    pub(crate) fn overrides(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// What holds for a setting, and whether it was set for this topic.
    pub(crate) fn get(&self, setting: &Setting, defaults: &TopicDefaults) -> (String, bool) {
        match self.0.get(setting.key) {
            Some(value) => (value.clone(), true),
            None => ((setting.default)(defaults), false),
        }
    }

    pub(crate) fn log_settings(&self, defaults: &TopicDefaults) -> LogSettings {
        LogSettings {
            segment_bytes: self.number("segment.bytes", i64::from(defaults.segment_bytes)) as u64,
            segment_ms: self.number("segment.ms", defaults.segment_ms),
            retention_ms: self.number("retention.ms", defaults.retention_ms),
            retention_bytes: self.number("retention.bytes", defaults.retention_bytes),
            append_time: self
                .0
                .get("message.timestamp.type")
                .is_some_and(|value| value == "LogAppendTime"),
        }
    }

    pub(crate) fn max_message_bytes(&self, defaults: &TopicDefaults) -> usize {
        self.number("max.message.bytes", i64::from(defaults.max_message_bytes)) as usize
    }

    fn number(&self, key: &str, default: i64) -> i64 {
        self.0
            .get(key)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }
}

fn setting(key: &str) -> Result<&'static Setting, ConfigError> {
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .ok_or_else(|| ConfigError::Unknown { key: key.into() })
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Unknown { key } => write!(f, "there is no topic setting {key}"),
            ConfigError::Value { key, found, must } => write!(f, "{key} must {must}, not {found}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_defaults_hold() {
        let defaults = TopicDefaults::default();
        let mut config = TopicConfig::default();
        for setting in &SETTINGS {
            let default = (setting.default)(&defaults);
            assert!((setting.is_fine)(&default), "{} = {default}", setting.key);
        }
        assert!(matches!(
            config.set("cleanup.policy", "compact"),
            Err(ConfigError::Value { .. })
        ));
        assert!(matches!(
            config.set("no.such", "1"),
            Err(ConfigError::Unknown { .. })
        ));
        config.set("retention.ms", "5000").unwrap();
        assert_eq!(config.log_settings(&defaults).retention_ms, 5000);
        config.unset("retention.ms").unwrap();
        assert_eq!(config.log_settings(&defaults).retention_ms, -1);
    }
}
