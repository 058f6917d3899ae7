//! Making the topics, and refusing those that would break a promise.

mod rule;
mod settings;

use std::time::Duration;

use compline_event::Topic;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::KafkaError,
    metadata::Metadata,
    types::RDKafkaErrorCode as Code,
};

pub use self::rule::Difference;
use self::rule::Found;
use crate::{LogConfig, LogError, TopicSpec, client::Client, context::Quiet};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Where Kafka keeps the groups' positions.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    pub topic: Topic,
    /// With the installation's prefix.
    pub name: String,
    pub partitions: u32,
    pub replication: u16,
    /// Whether it was missing and has been made.
    pub made: bool,
    /// Where it is not what `schemas/topics.toml` says.
    pub differences: Vec<Difference>,
}

impl TopicReport {
    /// What still breaks a promise.
    pub fn broken(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|d| d.breaks && !d.mended)
    }
}

/// The topics, and what of the brokers themselves one should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    pub brokers: usize,
    pub topics: Vec<TopicReport>,
    /// Names of those that are not there; none where they may be made.
    pub missing: Vec<String>,
    pub cluster: Vec<Finding>,
}

/// Something of the brokers' own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub setting: &'static str,
    pub found: String,
    pub needed: String,
    /// What comes of it.
    pub reason: &'static str,
    /// Whether a promise does not hold with it.
    pub breaks: bool,
}

/// What may be done about topics that are not as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Nothing; what is missing is told.
    Nothing,
    /// Missing topics are made.
    Missing,
    /// And every setting that differs is set.
    Settings,
}

pub(crate) async fn survey(
    config: &LogConfig,
    client: &Client,
    mend: Mend,
) -> Result<Survey, LogError> {
    let before = client.metadata(None).await?;
    let brokers = before.brokers().len();
    let admin: AdminClient<Quiet> = config
        .client()
        .create_with_context(Quiet)
        .map_err(|error| LogError::of("making an admin client", error))?;
    let mut missing: Vec<Topic> = Topic::ALL.into();
    missing.retain(|topic| find(&before, client.names.of(*topic)).is_none());
    if mend == Mend::Nothing {
        missing.clear();
    }
    if !missing.is_empty() {
        if usize::from(config.replication) > brokers {
            return Err(LogError::TooFewBrokers {
                replication: config.replication,
                brokers,
            });
        }
        make(config, client, &admin, &missing).await?;
    }
    let (metadata, mut topics, missing) = wait_until_there(client, &missing).await?;
    if mend != Mend::Nothing && !missing.is_empty() {
        return Err(LogError::of_all(missing.into_iter().map(not_there)));
    }
    for report in &mut topics {
        let found = settings::of_topic(&admin, &report.name).await?;
        report.differences = rule::differences(
            TopicSpec::of(report.topic),
            config.replication,
            &Found {
                partitions: report.partitions,
                replication: report.replication,
                setting: &|name| found.get(name).and_then(|entry| entry.value.clone()),
            },
        );
        if mend == Mend::Settings {
            settings::mend(&admin, report, &found).await?;
        }
    }
    Ok(Survey {
        brokers,
        cluster: cluster(config, &admin, &metadata).await?,
        topics,
        missing,
    })
}

impl Survey {
    /// Every promise that does not hold, as one error.
    pub fn check(&self) -> Result<(), LogError> {
        let missing = self.missing.iter().cloned().map(not_there);
        let of_topics = self.topics.iter().flat_map(|report| {
            let broken = report.broken();
            broken.map(|difference| broken_promise(report, difference))
        });
        let findings = self.cluster.iter().filter(|finding| finding.breaks);
        let of_brokers = findings.map(|broken| LogError::BrokerSetting {
            setting: broken.setting,
            found: broken.found.clone(),
            needed: broken.needed.clone(),
        });
        let all: Vec<_> = missing.chain(of_topics).chain(of_brokers).collect();
        match all.is_empty() {
            true => Ok(()),
            false => Err(LogError::of_all(all)),
        }
    }
}

fn not_there(name: String) -> LogError {
    LogError::TopicMissing { name }
}

fn broken_promise(report: &TopicReport, broken: &Difference) -> LogError {
    let name = report.name.clone();
    match broken.setting {
        "partitions" => LogError::PartitionCount {
            name,
            expected: TopicSpec::of(report.topic).partitions,
            found: report.partitions,
        },
        setting => LogError::TopicSetting {
            name,
            setting,
            found: broken.found.clone(),
            needed: broken.needed.clone(),
        },
    }
}

async fn make(
    config: &LogConfig,
    client: &Client,
    admin: &AdminClient<Quiet>,
    missing: &[Topic],
) -> Result<(), LogError> {
    let settings: Vec<_> = missing
        .iter()
        .map(|topic| {
            let spec = TopicSpec::of(*topic);
            let partitions = i32::try_from(spec.partitions).expect("at most 10,000");
            let settings = rule::settings(spec, config.replication);
            (client.names.of(*topic), partitions, settings)
        })
        .collect();
    let replication = i32::from(config.replication);
    let topics: Vec<NewTopic<'_>> = settings
        .iter()
        .map(|(name, partitions, settings)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(replication));
            (settings.iter()).fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let made = admin
        .create_topics(&topics, &options())
        .await
        .map_err(|error| LogError::of("making topics", error))?;
    for outcome in made {
        match outcome {
            // Another process was quicker.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                tracing::error!(topic = name, %code, "could not make a topic");
                return Err(LogError::of("making topics", KafkaError::AdminOp(code)));
            }
        }
    }
    Ok(())
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

/// What there is, and names of what is not. A cluster tells of new topics when its
/// controller has told every broker.
async fn wait_until_there(
    client: &Client,
    made: &[Topic],
) -> Result<(Metadata, Vec<TopicReport>, Vec<String>), LogError> {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        let metadata = client.metadata(None).await?;
        let (mut reports, mut missing) = (Vec::new(), Vec::new());
        for topic in Topic::ALL {
            match report(client, &metadata, topic, made.contains(&topic)) {
                Some(report) => reports.push(report),
                None => missing.push(client.names.of(topic).to_owned()),
            }
        }
        if missing.is_empty() || made.is_empty() || tokio::time::Instant::now() > deadline {
            return Ok((metadata, reports, missing));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `None` for one that is not there, or is still being made.
fn report(client: &Client, metadata: &Metadata, topic: Topic, made: bool) -> Option<TopicReport> {
    let name = client.names.of(topic);
    let found = find(metadata, name)?;
    let led = |partition: &rdkafka::metadata::MetadataPartition| partition.leader() >= 0;
    if made && !found.partitions().iter().all(led) {
        return None;
    }
    Some(TopicReport {
        topic,
        name: name.to_owned(),
        partitions: u32::try_from(found.partitions().len()).unwrap_or(u32::MAX),
        replication: fewest_replicas(found),
        made,
        differences: Vec::new(),
    })
}

fn fewest_replicas(topic: &rdkafka::metadata::MetadataTopic) -> u16 {
    let replicas = topic.partitions().iter().map(|p| p.replicas().len()).min();
    replicas.and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
}

/// What the brokers' own settings do to the promises.
async fn cluster(
    config: &LogConfig,
    admin: &AdminClient<Quiet>,
    metadata: &Metadata,
) -> Result<Vec<Finding>, LogError> {
    let mut findings = Vec::new();
    let Some(broker) = metadata.brokers().first() else {
        return Ok(findings);
    };
    // Whoever may write records need not be allowed to look at brokers.
    let own = settings::of_broker(admin, broker.id()).await?;
    let value = |name: &str| own.as_ref()?.get(name)?.value.clone();
    let several = config.replication > 1;
    let groups = match find(metadata, OFFSETS_TOPIC) {
        Some(topic) => Some(fewest_replicas(topic)),
        // It is made with the first group.
        None => value("offsets.topic.replication.factor").and_then(|count| count.parse().ok()),
    };
    if let Some(count) = groups.filter(|count| several && *count < 2) {
        findings.push(Finding {
            setting: "offsets.topic.replication.factor",
            found: count.to_string(),
            needed: "2 or more".to_owned(),
            reason: "a broker that dies takes the groups with it, and nobody is told what to read",
            breaks: true,
        });
    }
    let brokers = metadata.brokers().len();
    if !several && brokers > 1 {
        findings.push(Finding {
            setting: "log.replication",
            found: "1".to_owned(),
            needed: format!("2 or 3, for there are {brokers} brokers"),
            reason: "a broker that dies takes its partitions with it",
            breaks: false,
        });
    }
    if value("auto.create.topics.enable").as_deref() == Some("true") {
        findings.push(Finding {
            setting: "auto.create.topics.enable",
            found: "true".to_owned(),
            needed: "false".to_owned(),
            reason: "a misspelt topic is made with the brokers' defaults instead of refused",
            breaks: false,
        });
    }
    Ok(findings)
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
