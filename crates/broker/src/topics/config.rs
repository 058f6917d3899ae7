//! A topic's settings under Kafka's names: which there are, what they may be, what they mean.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::config::TopicDefaults;
use crate::log::{Compaction, LogSettings};

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
    Double = 6,
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

const DELETE_RETENTION_MS: i64 = 24 * 3600 * 1000;
const DIRTY_RATIO: f64 = 0.5;

fn is_policy(value: &str) -> bool {
    let mut policies: Vec<_> = list(value).collect();
    policies.sort_unstable();
    matches!(*policies, ["compact"] | ["delete"] | ["compact", "delete"])
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

fn number_in(value: &str, range: std::ops::RangeInclusive<i64>) -> bool {
    value
        .parse()
        .is_ok_and(|number: i64| range.contains(&number))
}

/// All of them, by name.
pub(crate) const SETTINGS: [Setting; 13] = [
    Setting {
        key: "cleanup.policy",
        kind: Kind::List,
        must: "be delete, compact or both with a comma between them",
        is_fine: is_policy,
        default: |_| "delete".into(),
        help: "Whether old segments are deleted, compacted to the last record of each key, or both.",
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
        key: "delete.retention.ms",
        kind: Kind::Long,
        must: "be 0 or more",
        is_fine: |value| number_in(value, 0..=i64::MAX),
        default: |_| DELETE_RETENTION_MS.to_string(),
        help: "Milliseconds that a compacted topic keeps the tombstone of a key, so that readers see it.",
    },
    Setting {
        key: "max.compaction.lag.ms",
        kind: Kind::Long,
        must: "be 1 or more",
        is_fine: |value| number_in(value, 1..=i64::MAX),
        default: |_| i64::MAX.to_string(),
        help: "Milliseconds after which records are compacted whatever the ratio.",
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
        key: "min.cleanable.dirty.ratio",
        kind: Kind::Double,
        must: "be a number from 0 to 1",
        is_fine: |value| {
            value
                .parse()
                .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio))
        },
        default: |_| DIRTY_RATIO.to_string(),
        help: "The part of a log that must not be compacted yet for compaction to begin.",
    },
    Setting {
        key: "min.compaction.lag.ms",
        kind: Kind::Long,
        must: "be 0 or more",
        is_fine: |value| number_in(value, 0..=i64::MAX),
        default: |_| "0".into(),
        help: "Milliseconds that records are not compacted.",
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

    /// Adds what `value` lists to a setting that is a list.
    pub(crate) fn append(
        &mut self,
        key: &str,
        value: &str,
        defaults: &TopicDefaults,
    ) -> Result<(), ConfigError> {
        let mut members = self.members(key, value, defaults)?;
        for member in list(value) {
            if !members.iter().any(|there| there == member) {
                members.push(member.to_owned());
            }
        }
        self.set(key, &members.join(","))
    }

    /// Takes what `value` lists from a setting that is a list.
    pub(crate) fn subtract(
        &mut self,
        key: &str,
        value: &str,
        defaults: &TopicDefaults,
    ) -> Result<(), ConfigError> {
        let mut members = self.members(key, value, defaults)?;
        members.retain(|there| !list(value).any(|member| member == there));
        self.set(key, &members.join(","))
    }

    fn members(
        &self,
        key: &str,
        value: &str,
        defaults: &TopicDefaults,
    ) -> Result<Vec<String>, ConfigError> {
        let setting = setting(key)?;
        if !matches!(setting.kind, Kind::List) {
            return Err(ConfigError::Value {
                key: key.into(),
                found: value.into(),
                must: "be set as a whole, for it is no list",
            });
        }
        let (members, _) = self.get(setting, defaults);
        Ok(list(&members).map(str::to_owned).collect())
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
        let policy = self
            .0
            .get("cleanup.policy")
            .map_or("delete", String::as_str);
        let compaction = || Compaction {
            delete_retention_ms: self.number("delete.retention.ms", DELETE_RETENTION_MS),
            min_cleanable_dirty_ratio: self.number("min.cleanable.dirty.ratio", DIRTY_RATIO),
            min_compaction_lag_ms: self.number("min.compaction.lag.ms", 0),
            max_compaction_lag_ms: self.number("max.compaction.lag.ms", i64::MAX),
        };
        LogSettings {
            deletes: list(policy).any(|policy| policy == "delete"),
            compaction: list(policy)
                .any(|policy| policy == "compact")
                .then(compaction),
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

    fn number<T: FromStr>(&self, key: &str, default: T) -> T {
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
        for bad in ["", "compress", "delete,delete", "compact,"] {
            let set = config.set("cleanup.policy", bad);
            assert!(matches!(set, Err(ConfigError::Value { .. })), "{bad}");
        }
        for (policy, deletes, compacts) in [
            ("compact", false, true),
            ("compact, delete", true, true),
            ("delete", true, false),
        ] {
            config.set("cleanup.policy", policy).unwrap();
            let settings = config.log_settings(&defaults);
            assert_eq!(
                (settings.deletes, settings.compaction.is_some()),
                (deletes, compacts)
            );
        }
        config
            .append("cleanup.policy", "compact", &defaults)
            .unwrap();
        config
            .append("cleanup.policy", "compact", &defaults)
            .unwrap();
        config
            .subtract("cleanup.policy", "delete", &defaults)
            .unwrap();
        let overrides: Vec<_> = config.overrides().collect();
        assert_eq!(overrides, [("cleanup.policy", "compact")]);
        for key in ["cleanup.policy", "retention.ms"] {
            let emptied = config.subtract(key, "compact", &defaults);
            assert!(matches!(emptied, Err(ConfigError::Value { .. })), "{key}");
        }
        assert!(config.set("min.cleanable.dirty.ratio", "NaN").is_err());
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
