//! CreateTopics: what may be asked for, by the rules of Kafka's `ReplicationControlManager`.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::super::{changing, now_ms, text};
use super::{Refusal, refusal, repeated, settled};
use crate::Error;
use crate::server::Server;
use crate::topics::config::{ConfigError, SETTINGS, TopicConfig};
use crate::topics::{Refused, Topic, TopicName};

pub(in super::super) async fn create(
    server: Arc<Server>,
    ask: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let twice = repeated(ask.topics.iter().map(|topic| topic.name.clone()));
    let mut results = Vec::with_capacity(ask.topics.len());
    for wanted in ask.topics {
        if twice.contains(&wanted.name) {
            continue;
        }
        let result = CreatableTopicResult::default().with_name(wanted.name.clone());
        let (shared, validate_only) = (server.clone(), ask.validate_only);
        let made = changing(&server, move || create_one(&shared, &wanted, validate_only)).await;
        results.push(match made {
            Ok(described) => described.with_name(result.name),
            Err(refusal) => refused(result, refusal),
        });
    }
    for name in twice {
        let result = CreatableTopicResult::default().with_name(name);
        let why = "Duplicate topic name.".to_owned();
        results.push(refused(result, (ResponseError::InvalidRequest, why)));
    }
    CreateTopicsResponse::default().with_topics(results)
}

fn refused(result: CreatableTopicResult, (error, message): Refusal) -> CreatableTopicResult {
    result
        .with_error_code(error.code())
        .with_error_message(Some(text(&message)))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

fn create_one(
    server: &Server,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let name = TopicName::parse(&wanted.name)
        .map_err(|bad| (ResponseError::InvalidTopicException, bad.0.to_owned()))?;
    let partitions = partitions(server, wanted)?;
    let config = config(wanted)?;
    if validate_only {
        let allowed = server.topics.may_create(&name, partitions);
        allowed.map_err(|refused| refusal(&wanted.name, refused))?;
        return Ok(describe(server, partitions, &config));
    }
    let made = server
        .topics
        .create(name, partitions, config, now_ms(), |name| {
            clear_offsets(server, name)
        });
    let topic = settled(server, made).map_err(|refused| refusal(&wanted.name, refused))?;
    tracing::info!(topic = %topic.name, partitions, "a topic was created");
    Ok(describe(server, partitions, &topic.config).with_topic_id(topic.id))
}

/// How many, from their number or from who is to have which.
fn partitions(server: &Server, wanted: &CreatableTopic) -> Result<i32, Refusal> {
    let (count, copies) = (wanted.num_partitions, wanted.replication_factor);
    if wanted.assignments.is_empty() {
        if !matches!(copies, 1 | -1) {
            let why = format!("a replication factor of {copies} needs more than this one node");
            return Err((ResponseError::InvalidReplicationFactor, why));
        }
        return Ok(match count {
            -1 => server.config.topics.partitions,
            count => count,
        });
    }
    if (count, copies) != (-1, -1) {
        let why = "partitions are assigned, so their number and the replication factor must be -1";
        return Err((ResponseError::InvalidRequest, why.into()));
    }
    let invalid = |why: String| Err((ResponseError::InvalidReplicaAssignment, why));
    let node = server.config.node_id;
    let mut numbers = BTreeSet::new();
    for part in &wanted.assignments {
        if !numbers.insert(part.partition_index) {
            return invalid(format!(
                "partition {} is assigned twice",
                part.partition_index
            ));
        }
        if part.broker_ids.len() != 1 || *part.broker_ids[0] != node {
            return invalid(format!("partitions can only be assigned to node {node}"));
        }
    }
    let assigned = i32::try_from(numbers.len()).unwrap_or(i32::MAX);
    if !numbers.into_iter().eq(0..assigned) {
        return invalid("partitions are numbered from 0 on without a hole".into());
    }
    Ok(assigned)
}

fn config(wanted: &CreatableTopic) -> Result<TopicConfig, Refusal> {
    let refuse = |error: ConfigError| refusal(&wanted.name, Refused::Config(error));
    let mut config = TopicConfig::default();
    for setting in &wanted.configs {
        let Some(value) = &setting.value else {
            let why = format!(
                "Null value not supported for topic configs: {}",
                &*setting.name
            );
            return Err((ResponseError::InvalidConfig, why));
        };
        config.set(&setting.name, value).map_err(refuse)?;
    }
    Ok(config)
}

fn describe(server: &Server, partitions: i32, config: &TopicConfig) -> CreatableTopicResult {
    let configs = SETTINGS.iter().map(|setting| {
        let (value, is_set) = config.get(setting, server.topics.defaults());
        CreatableTopicConfigs::default()
            .with_name(text(setting.key))
            .with_value(Some(text(&value)))
            .with_config_source(if is_set { 1 } else { 5 })
    });
    CreatableTopicResult::default()
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}

/// Offsets of a topic that was deleted are gone for good before there is another one of its name,
/// even if the deletion was interrupted.
fn clear_offsets(server: &Server, name: &TopicName) -> Result<(), Error> {
    let offsets = &server.coordinator.offsets;
    offsets.clear_topic(name.as_str(), now_ms())
}

/// A topic that somebody asked about and that is made for it.
pub(in super::super) async fn create_default(
    server: Arc<Server>,
    name: TopicName,
) -> Result<Arc<Topic>, ResponseError> {
    let shared = server.clone();
    let made = changing(&shared, move || {
        let config = TopicConfig::default();
        let made = server
            .topics
            .create(name.clone(), -1, config, now_ms(), |name| {
                clear_offsets(&server, name)
            });
        let made = match settled(&server, made) {
            Err(Refused::Exists) => server.topics.find(name.as_str()).ok_or(Refused::Unknown),
            made => made,
        };
        made.map_err(|refused| refusal(name.as_str(), refused).0)
    });
    made.await
}
