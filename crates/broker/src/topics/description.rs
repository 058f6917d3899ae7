//! A topic as the file `topic` in its folder describes it: lines of keys and values.

use uuid::Uuid;

use super::config::TopicConfig;
use super::{TopicName, may_have};

pub(super) fn write(name: &TopicName, id: Uuid, partitions: i32, config: &TopicConfig) -> String {
    let mut text = format!("name={name}\nid={id}\npartitions={partitions}\n");
    for (key, value) in config.overrides() {
        text += &format!("config.{key}={value}\n");
    }
    text
}

/// Name, id, number of partitions and settings.
pub(crate) type Description = (TopicName, Uuid, i32, TopicConfig);

/// What [`write`] wrote; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Description> {
    let mut config = TopicConfig::default();
    let (mut name, mut id, mut partitions) = (None, None, None);
    for line in text.lines() {
        let (key, value) = line.split_once('=')?;
        match key {
            "name" => name = TopicName::parse(value).ok(),
            "id" => id = value.parse().ok(),
            "partitions" => partitions = value.parse().ok(),
            _ => config.set(key.strip_prefix("config.")?, value).ok()?,
        }
    }
    Some((
        name?,
        id?,
        partitions.filter(|count| may_have(*count))?,
        config,
    ))
}
