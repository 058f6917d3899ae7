//! Making the topics, and refusing those that would break a promise.

use std::time::Duration;

use compline_event::Topic;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    metadata::Metadata,
    types::RDKafkaErrorCode as Code,
};

use crate::{LogConfig, LogError, Retention, TopicSpec, client::Client, context::Quiet};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A topic as it is after [`Log::ensure_topics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    pub topic: Topic,
    /// With the installation's prefix.
    pub name: String,
    pub partitions: u32,
    pub replication: u16,
    /// Whether it was missing and has been made.
    pub made: bool,
}

pub(crate) async fn ensure_topics(
    config: &LogConfig,
    client: &Client,
) -> Result<Vec<TopicReport>, LogError> {
    let before = client.metadata(None).await?;
    let missing: Vec<Topic> = Topic::ALL
        .into_iter()
        .filter(|topic| find(&before, client.names.of(*topic)).is_none())
        .collect();
    let admin: AdminClient<Quiet> = config
        .client()
        .create_with_context(Quiet)
        .map_err(|error| LogError::of("making an admin client", error))?;
    make(config, client, &admin, &missing).await?;
    let reports = wait_until_there(client, &missing).await?;
    if reports.iter().any(|report| report.replication > 1) {
        check_durability(&admin, &reports).await?;
    }
    Ok(reports)
}

async fn make(
    config: &LogConfig,
    client: &Client,
    admin: &AdminClient<Quiet>,
    missing: &[Topic],
) -> Result<(), LogError> {
    if missing.is_empty() {
        return Ok(());
    }
    let settings: Vec<_> = missing
        .iter()
        .map(|topic| (client.names.of(*topic), Settings::of(TopicSpec::of(*topic))))
        .collect();
    let replication = i32::from(config.replication);
    let topics: Vec<NewTopic<'_>> = settings
        .iter()
        .map(|(name, s)| {
            let replication_factor = TopicReplication::Fixed(replication);
            let mut topic = NewTopic::new(name, s.partitions, replication_factor)
                .set("cleanup.policy", "delete")
                .set("retention.bytes", "-1")
                .set("retention.ms", &s.retention_ms)
                .set("max.message.bytes", &s.max_message_bytes)
                .set("message.timestamp.type", "CreateTime");
            if replication > 1 {
                topic = topic
                    .set("min.insync.replicas", "2")
                    .set("unclean.leader.election.enable", "false");
            }
            topic
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT));
    let made = admin
        .create_topics(&topics, &options)
        .await
        .map_err(|error| LogError::of("making topics", error))?;
    for outcome in made {
        match outcome {
            // Another process was quicker.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                tracing::error!(topic = name, %code, "could not make a topic");
                let error = rdkafka::error::KafkaError::AdminOp(code);
                return Err(LogError::of("making topics", error));
            }
        }
    }
    Ok(())
}

struct Settings {
    partitions: i32,
    retention_ms: String,
    max_message_bytes: String,
}

impl Settings {
    fn of(spec: &TopicSpec) -> Self {
        Self {
            partitions: i32::try_from(spec.partitions).expect("at most 10,000"),
            retention_ms: match spec.retention {
                Retention::Kept => "-1".to_owned(),
                Retention::AtLeast(time) => time.as_millis().to_string(),
            },
            max_message_bytes: spec.max_batch_bytes().to_string(),
        }
    }
}

/// A cluster tells of new topics when its controller has told every broker.
async fn wait_until_there(client: &Client, made: &[Topic]) -> Result<Vec<TopicReport>, LogError> {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        let metadata = client.metadata(None).await?;
        let reports: Result<Vec<_>, _> = Topic::ALL
            .into_iter()
            .map(|topic| report(client, &metadata, topic, made.contains(&topic)))
            .collect();
        match reports {
            Err(LogError::TopicMissing { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            reports => return reports,
        }
    }
}

fn report(
    client: &Client,
    metadata: &Metadata,
    topic: Topic,
    made: bool,
) -> Result<TopicReport, LogError> {
    let name = client.names.of(topic);
    let missing = || LogError::TopicMissing {
        name: name.to_owned(),
    };
    let found = find(metadata, name).ok_or_else(missing)?;
    let led = |partition: &rdkafka::metadata::MetadataPartition| partition.leader() >= 0;
    if made && !found.partitions().iter().all(led) {
        return Err(missing());
    }
    let partitions = check_count(name, topic, found.partitions().len())?;
    let replicas = found.partitions().iter().map(|p| p.replicas().len()).min();
    Ok(TopicReport {
        topic,
        name: name.to_owned(),
        partitions,
        replication: replicas.and_then(|n| u16::try_from(n).ok()).unwrap_or(0),
        made,
    })
}

pub(crate) fn find<'a>(
    metadata: &'a Metadata,
    name: &str,
) -> Option<&'a rdkafka::metadata::MetadataTopic> {
    let found = metadata.topics().iter().find(|t| t.name() == name)?;
    (found.error().is_none() && !found.partitions().is_empty()).then_some(found)
}

pub(crate) fn check_count(name: &str, topic: Topic, found: usize) -> Result<u32, LogError> {
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    let expected = TopicSpec::of(topic).partitions;
    if found != expected {
        return Err(LogError::PartitionCount {
            name: name.to_owned(),
            expected,
            found,
        });
    }
    Ok(found)
}

/// On a cluster, acknowledged must mean: on two brokers, and no broker without it
/// may come to lead.
async fn check_durability(
    admin: &AdminClient<Quiet>,
    reports: &[TopicReport],
) -> Result<(), LogError> {
    let topics: Vec<_> = reports
        .iter()
        .map(|report| ResourceSpecifier::Topic(&report.name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin
        .describe_configs(&topics, &options)
        .await
        .map_err(|error| LogError::of("reading the topics' settings", error))?;
    for (report, described) in reports.iter().zip(described) {
        let described = described.map_err(|code| {
            let error = rdkafka::error::KafkaError::AdminOp(code);
            LogError::of("reading the topics' settings", error)
        })?;
        let value = |setting: &str| described.get(setting).and_then(|entry| entry.value.clone());
        let refuse = |setting, found: Option<String>, needed: &str| {
            Err(LogError::TopicSetting {
                name: report.name.clone(),
                setting,
                found: found.unwrap_or_default(),
                needed: needed.to_owned(),
            })
        };
        let replicas = value("min.insync.replicas");
        let enough = replicas.as_ref().and_then(|r| r.parse::<u32>().ok()) >= Some(2);
        if !enough {
            return refuse("min.insync.replicas", replicas, "2 or more");
        }
        let unclean = value("unclean.leader.election.enable");
        if unclean.as_deref() != Some("false") {
            return refuse("unclean.leader.election.enable", unclean, "false");
        }
    }
    Ok(())
}
