//! What `schemas/topics.toml` says about each topic. It is part of the binary: a
//! partition count that differed between two processes would tear keys apart.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use compline_event::Topic;
use serde::Deserialize;

use crate::AppendError;

/// Room for a record's headers and the batch around it, bytes.
///
/// A batch of one record has 61 bytes of head and at most 30 of lengths; the
/// headers that we write stay below 1 KiB.
const FRAME_BYTES: usize = 4096;

/// What a topic is made like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub topic: Topic,
    pub partitions: u32,
    /// The longest key and value together that the topic takes, bytes.
    pub max_record_bytes: usize,
    pub retention: Retention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Whole, for ever: rows and engine state are folded from it.
    Kept,
    /// At least so long.
    AtLeast(Duration),
}

impl TopicSpec {
    pub fn of(topic: Topic) -> &'static TopicSpec {
        static SPECS: LazyLock<BTreeMap<Topic, TopicSpec>> = LazyLock::new(|| {
            parse(include_str!("../../../schemas/topics.toml"))
                .expect("the file is part of the source and a test reads it")
        });
        &SPECS[&topic]
    }

    /// The largest batch that the topic takes: Kafka's `max.message.bytes`.
    pub fn max_batch_bytes(&self) -> usize {
        self.max_record_bytes + FRAME_BYTES
    }

    /// The size of key and value together.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`], without asking the log.
    pub fn check_size(&self, key: &[u8], value: &[u8]) -> Result<usize, AppendError> {
        let (topic, limit) = (self.topic, self.max_record_bytes);
        let size = key.len() + value.len();
        if size > limit {
            return Err(AppendError::TooLarge { topic, size, limit });
        }
        Ok(size)
    }

    pub(crate) fn largest_batch_bytes() -> usize {
        let batches = Topic::ALL.map(|topic| TopicSpec::of(topic).max_batch_bytes());
        batches.into_iter().max().expect("there are topics")
    }

    /// The size to which records are gathered into a batch; every topic takes it.
    pub(crate) fn gathered_batch_bytes() -> usize {
        let records = Topic::ALL.map(|topic| TopicSpec::of(topic).max_record_bytes);
        records.into_iter().min().expect("there are topics")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topics: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[expect(dead_code, reason = "says to people what decides order")]
    key: String,
    partitions: u32,
    max_record_bytes: usize,
    retention: String,
}

fn parse(text: &str) -> Result<BTreeMap<Topic, TopicSpec>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut specs = BTreeMap::new();
    for (name, entry) in file.topics {
        let topic: Topic = name.parse().map_err(|e| format!("topics.toml: {e}"))?;
        let refuse = |key: &str, found: String| Err(format!("topics.{name}.{key} = {found}"));
        if !(1..=10_000).contains(&entry.partitions) {
            return refuse("partitions", entry.partitions.to_string());
        }
        if !(65_536..=67_108_864).contains(&entry.max_record_bytes) {
            return refuse("max_record_bytes", entry.max_record_bytes.to_string());
        }
        let retention = match entry.retention.as_str() {
            "kept" => Retention::Kept,
            days => match days.strip_suffix('d').and_then(|d| d.parse::<u64>().ok()) {
                Some(days) if days > 0 => Retention::AtLeast(Duration::from_secs(days * 86_400)),
                _ => return refuse("retention", format!("{days:?}")),
            },
        };
        let spec = TopicSpec {
            topic,
            partitions: entry.partitions,
            max_record_bytes: entry.max_record_bytes,
            retention,
        };
        specs.insert(topic, spec);
    }
    match Topic::ALL.iter().find(|topic| !specs.contains_key(topic)) {
        Some(missing) => Err(format!("topics.toml says nothing of {missing}")),
        None => Ok(specs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_of_the_catalogue_is_described() {
        for topic in Topic::ALL {
            assert_eq!(TopicSpec::of(topic).topic, topic);
        }
    }

    #[test]
    fn only_webhooks_expire() {
        for topic in Topic::ALL {
            let expires = TopicSpec::of(topic).retention != Retention::Kept;
            assert_eq!(expires, topic.as_str().starts_with("webhook."), "{topic}");
        }
    }

    #[test]
    fn a_bad_value_is_named() {
        let text = include_str!("../../../schemas/topics.toml");
        for (good, bad, named) in [
            ("partitions = 6", "partitions = 0", "partitions = 0"),
            (
                "retention = \"kept\"",
                "retention = \"0d\"",
                "retention = \"0d\"",
            ),
            ("[topics.ad]", "[topics.paint]", "paint"),
        ] {
            let error = parse(&text.replacen(good, bad, 1)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
