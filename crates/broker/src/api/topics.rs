//! Topics made, grown and deleted.

mod create;

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    TopicName,
};

pub(super) use create::{create, create_default};

use super::{changing, now_ms, text};
use crate::Error;
use crate::server::Server;
use crate::topics::Refused;

/// Why not, for programs and for people.
pub(super) type Refusal = (ResponseError, String);

pub(super) fn refusal(topic: &str, refused: Refused) -> Refusal {
    match refused {
        Refused::Exists => (
            ResponseError::TopicAlreadyExists,
            format!("Topic '{topic}' already exists."),
        ),
        Refused::Collides { with } => (
            ResponseError::InvalidTopicException,
            format!("Topic '{topic}' collides with existing topic: {with}"),
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
            tracing::error!(
                error = error.with_sources(),
                topic,
                "a topic could not be changed"
            );
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
            tracing::error!(
                error = error.with_sources(),
                "the topics could not be synced"
            );
            server.syncer.fail(error);
            Err(Refused::Stopping)
        }
        changed => changed,
    }
}

/// What stands there more than once.
pub(super) fn repeated<T: Ord + Clone>(all: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    all.filter(|one| !seen.insert(one.clone())).collect()
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
    let twice = repeated(wanted.iter().cloned());
    for (name, id) in &twice {
        let what = if name.is_some() { "name" } else { "id" };
        let why = format!("Duplicate topic {what}.");
        let result = DeletableTopicResult::default().with_topic_id(*id);
        results.push(
            result
                .with_name(name.clone())
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(text(&why))),
        );
    }
    for (name, id) in wanted {
        if twice.contains(&(name.clone(), id)) {
            continue;
        }
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
    let twice = repeated(ask.topics.iter().map(|topic| topic.name.clone()));
    for wanted in ask.topics {
        let result = CreatePartitionsTopicResult::default().with_name(wanted.name.clone());
        if twice.contains(&wanted.name) {
            continue;
        }
        let (shared, validate_only) = (server.clone(), ask.validate_only);
        let grown = changing(&server, move || grow(&shared, &wanted, validate_only)).await;
        results.push(match grown {
            Ok(()) => result,
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&message))),
        });
    }
    for name in twice {
        let result = CreatePartitionsTopicResult::default().with_name(name);
        results.push(
            result
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(text("Duplicate topic name."))),
        );
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
