//! Reading settings from the brokers, and setting those of topics.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AlterConfig, ConfigEntry, ConfigResource, ConfigSource, ResourceSpecifier,
    },
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use tokio::time::{Instant, sleep};

use super::{TopicReport, options};
use crate::{LogError, context::Quiet};

const READING: &str = "reading the topics' settings";

/// By name.
pub(super) type Settings = BTreeMap<String, ConfigEntry>;

/// How long a node may take to hear of a topic that was made by another.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn of_topic(admin: &AdminClient<Quiet>, name: &str) -> Result<Settings, LogError> {
    let deadline = Instant::now() + HEARD_WITHIN;
    loop {
        let described = describe(admin, ResourceSpecifier::Topic(name)).await;
        let settings = described.map_err(|error| LogError::of(READING, error))?;
        // A node that does not know the topic yet answers with an error, of which
        // rdkafka tells only that there are no settings.
        if !settings.is_empty() || Instant::now() >= deadline {
            return Ok(settings);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// `None` where brokers are not ours to look at.
pub(super) async fn of_broker(
    admin: &AdminClient<Quiet>,
    id: i32,
) -> Result<Option<Settings>, LogError> {
    match describe(admin, ResourceSpecifier::Broker(id)).await {
        Ok(settings) => Ok(Some(settings)),
        Err(KafkaError::AdminOp(Code::ClusterAuthorizationFailed)) => Ok(None),
        Err(error) => Err(LogError::of("reading the brokers' settings", error)),
    }
}

/// Sets what differs and can be set in place.
pub(super) async fn mend(
    admin: &AdminClient<Quiet>,
    report: &mut TopicReport,
    found: &Settings,
) -> Result<(), LogError> {
    // The call replaces everything that was set for the topic.
    let mut set: BTreeMap<&str, &str> = found
        .iter()
        .filter(|(_, entry)| entry.source == ConfigSource::DynamicTopic)
        .filter_map(|(name, entry)| Some((name.as_str(), entry.value.as_deref()?)))
        .collect();
    let before = set.clone();
    for difference in &report.differences {
        if let Some(value) = &difference.mend {
            set.insert(difference.setting, value);
        }
    }
    if set == before {
        return Ok(());
    }
    let alter = set.iter().fold(
        AlterConfig::new(ResourceSpecifier::Topic(&report.name)),
        |alter, (name, value)| alter.set(name, value),
    );
    let refused = |error| LogError::of("setting a topic's settings", error);
    let answers = admin.alter_configs([&alter], &options()).await;
    for answer in answers.map_err(refused)? {
        answer.map_err(|(_, code)| refused(KafkaError::AdminOp(code)))?;
    }
    for difference in &mut report.differences {
        difference.mended = difference.mend.is_some();
    }
    Ok(())
}

async fn describe(
    admin: &AdminClient<Quiet>,
    of: ResourceSpecifier<'_>,
) -> Result<Settings, KafkaError> {
    let described = admin.describe_configs([&of], &options()).await?;
    let resource = described.into_iter().next().ok_or(KafkaError::Canceled)?;
    let ConfigResource { entries, .. } = resource.map_err(KafkaError::AdminOp)?;
    let named = entries.into_iter().map(|entry| (entry.name.clone(), entry));
    Ok(named.collect())
}
