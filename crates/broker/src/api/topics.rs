//! Topics made, grown and deleted.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};

use super::{changing, now_ms, text};
use crate::Error;
use crate::server::Server;
use crate::topics::config::{SETTINGS, TopicConfig};
use crate::topics::{self, Refused, Topic};

/// Why not, for programs and for people.
pub(super) type Refusal = (ResponseError, String);

pub(super) fn refusal(topic: &str, refused: Refused) -> Refusal {
    match refused {
        Refused::Exists => (
            ResponseError::TopicAlreadyExists,
            format!("Topic '{topic}' already exists."),
        ),
        Refused::Unknown => (
            ResponseError::UnknownTopicOrPartition,
            format!("There is no topic '{topic}'."),
        ),
        Refused::Partitions => (
            ResponseError::InvalidPartitions,
            format!("Topic '{topic}' can have 1 to 10000 partitions, and never fewer than it has."),
        ),
        Refused::Config(error) => (ResponseError::InvalidConfig, error.to_string()),
        Refused::Disk(error) => {
            tracing::error!(%error, topic, "a topic could not be changed");
            (ResponseError::KafkaStorageError, error.to_string())
        }
        Refused::Stopping => (
            ResponseError::KafkaStorageError,
            "The broker stops, for a sync failed.".to_owned(),
        ),
    }
}

/// After a failed sync of their folder nobody knows which topics the next start would find, so
/// the broker stops.
pub(super) fn settled<T>(server: &Server, changed: Result<T, Refused>) -> Result<T, Refused> {
    match changed {
        Err(Refused::Disk(error @ Error::Sync { .. })) => {
            tracing::error!(%error, "the topics could not be synced");
            server.syncer.fail(error);
            Err(Refused::Stopping)
        }
        changed => changed,
    }
}

pub(super) async fn create(server: Arc<Server>, ask: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut results = Vec::with_capacity(ask.topics.len());
    for wanted in ask.topics {
        let result = CreatableTopicResult::default().with_name(wanted.name.clone());
        let (shared, validate_only) = (server.clone(), ask.validate_only);
        let made = changing(&server, move || create_one(&shared, &wanted, validate_only)).await;
        results.push(match made {
            Ok(described) => described.with_name(result.name),
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

fn create_one(
    server: &Server,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let name = topics::TopicName::parse(&wanted.name)
        .map_err(|bad| (ResponseError::InvalidTopicException, bad.0.to_owned()))?;
    let node = server.config.node_id;
    let assigned = i32::try_from(wanted.assignments.len()).unwrap_or(i32::MAX);
    let partitions = if assigned > 0 {
        assigned
    } else {
        wanted.num_partitions
    };
    let on_this_node = wanted
        .assignments
        .iter()
        .all(|part| part.broker_ids.len() == 1 && *part.broker_ids[0] == node);
    if !on_this_node {
        let message = format!("partitions can only be assigned to node {node}");
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    if assigned == 0 && !matches!(wanted.replication_factor, 1 | -1) {
        let message = format!(
            "a replication factor of {} needs more than this one node",
            wanted.replication_factor
        );
        return Err((ResponseError::InvalidReplicationFactor, message));
    }
    let mut config = TopicConfig::default();
    for setting in &wanted.configs {
        if let Some(value) = &setting.value {
            config
                .set(&setting.name, value)
                .map_err(|error| refusal(&wanted.name, Refused::Config(error)))?;
        }
    }
    let partitions = if partitions == -1 {
        server.config.topics.partitions
    } else {
        partitions
    };
    if validate_only {
        return match server.topics.find(name.as_str()) {
            Some(_) => Err(refusal(&wanted.name, Refused::Exists)),
            None if !topics::may_have(partitions) => {
                Err(refusal(&wanted.name, Refused::Partitions))
            }
            None => Ok(describe(server, partitions, &config)),
        };
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
fn clear_offsets(server: &Server, name: &topics::TopicName) -> Result<(), Error> {
    let offsets = &server.coordinator.offsets;
    offsets.clear_topic(name.as_str(), now_ms())
}

/// A topic that somebody asked about and that is made for it.
pub(super) async fn create_default(
    server: Arc<Server>,
    name: topics::TopicName,
) -> Result<Arc<Topic>, ResponseError> {
    let shared = server.clone();
    let made = changing(&shared, move || {
        let made =
            server
                .topics
                .create(name.clone(), -1, TopicConfig::default(), now_ms(), |name| {
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

pub(super) async fn delete(
    server: Arc<Server>,
    ask: DeleteTopicsRequest,
    version: i16,
) -> impl Future<Output = DeleteTopicsResponse> {
    let mut results = Vec::new();
    let mut pending = Vec::new();
    let by_name = ask
        .topic_names
        .into_iter()
        .map(|name| (Some(name), uuid::Uuid::nil()));
    let by_either = ask
        .topics
        .into_iter()
        .map(|topic| (topic.name, topic.topic_id));
    let wanted: Vec<_> = if version < 6 {
        by_name.collect()
    } else {
        by_either.collect()
    };
    for (name, id) in wanted {
        let found = match &name {
            Some(name) => server.topics.find(name),
            None => server.topics.find_id(id),
        };
        let unknown = match name {
            Some(_) => ResponseError::UnknownTopicOrPartition,
            None => ResponseError::UnknownTopicId,
        };
        let result = DeletableTopicResult::default()
            .with_topic_id(found.as_ref().map_or(id, |topic| topic.id));
        let result = result.with_name(
            found
                .as_ref()
                .map(|topic| TopicName(text(topic.name.as_str())))
                .or(name),
        );
        let Some(topic) = found else {
            results.push(result.with_error_code(unknown.code()));
            continue;
        };
        let shared = server.clone();
        let deleted = changing(&server, move || {
            let deleted = settled(&shared, shared.topics.delete(topic.name.as_str()));
            let deleted = deleted.map_err(|refused| refusal(topic.name.as_str(), refused));
            if deleted.is_ok() {
                tracing::info!(topic = %topic.name, "a topic was deleted");
            }
            // One that could not be deleted keeps its offsets.
            let is_gone = shared.topics.find(topic.name.as_str()).is_none();
            let gone = is_gone.then(|| {
                let offsets = &shared.coordinator.offsets;
                offsets.forget(|key| key.topic == topic.name.as_str(), now_ms())
            });
            (deleted, gone)
        });
        let (deleted, gone) = deleted.await;
        if let Some(Ok(gone)) = gone {
            server.syncer.enqueue(&gone.log);
            pending.push(gone);
        }
        results.push(match deleted {
            Ok(()) => result,
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&message))),
        });
    }
    async move {
        for gone in pending {
            gone.synced().await;
        }
        DeleteTopicsResponse::default().with_responses(results)
    }
}

pub(super) async fn create_partitions(
    server: Arc<Server>,
    ask: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(ask.topics.len());
    for wanted in ask.topics {
        let result = CreatePartitionsTopicResult::default().with_name(wanted.name.clone());
        let (shared, validate_only) = (server.clone(), ask.validate_only);
        let grown = changing(&server, move || grow(&shared, &wanted, validate_only)).await;
        results.push(match grown {
            Ok(()) => result,
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&message))),
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

fn grow(
    server: &Server,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    if !validate_only {
        let grown = server.topics.grow(&wanted.name, wanted.count, now_ms());
        return settled(server, grown).map_err(|refused| refusal(&wanted.name, refused));
    }
    match server.topics.find(&wanted.name) {
        None => Err(refusal(&wanted.name, Refused::Unknown)),
        Some(topic) if !topic.may_grow_to(wanted.count) => {
            Err(refusal(&wanted.name, Refused::Partitions))
        }
        Some(_) => Ok(()),
    }
}
