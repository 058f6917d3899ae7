//! Committed offsets: written, read, deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::{now_ms, text};
use crate::coordinator::Caller;
use crate::offsets::{Committed, Key};
use crate::server::Server;

/// Kafka's `offset.metadata.max.bytes`.
pub(super) const LONGEST_METADATA: usize = 4096;

pub(super) fn commit(
    server: &Arc<Server>,
    ask: OffsetCommitRequest,
) -> impl Future<Output = OffsetCommitResponse> + Send + use<> {
    let caller = Caller {
        member: &ask.member_id,
        instance: ask.group_instance_id.as_deref(),
        generation: ask.generation_id_or_member_epoch,
    };
    let mut entries = Vec::new();
    let mut topics = Vec::with_capacity(ask.topics.len());
    for topic in &ask.topics {
        let partitions = topic.partitions.iter().map(|part| {
            let metadata = part.committed_metadata.as_deref().unwrap_or_default();
            let error = if metadata.len() > LONGEST_METADATA {
                Some(ResponseError::OffsetMetadataTooLarge)
            } else if server
                .topics
                .partition(&topic.name, part.partition_index)
                .is_none()
            {
                Some(ResponseError::UnknownTopicOrPartition)
            } else {
                let key = Key {
                    group: ask.group_id.to_string(),
                    topic: topic.name.to_string(),
                    partition: part.partition_index,
                };
                let committed = Committed {
                    offset: part.committed_offset,
                    leader_epoch: part.committed_leader_epoch,
                    metadata: metadata.to_owned(),
                };
                entries.push((key, committed));
                None
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(part.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        let partitions = partitions.collect();
        topics.push(
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    let written = server
        .coordinator
        .commit(&ask.group_id, caller, entries, now_ms());
    match &written {
        Ok(pending) => server.syncer.enqueue(&pending.log),
        // Had it to do with a sync, this finds out and stops the broker.
        Err(ResponseError::KafkaStorageError) => {
            server.syncer.enqueue(&server.coordinator.offsets.log())
        }
        Err(_) => {}
    }
    async move {
        match written {
            Ok(pending) => pending.synced().await,
            Err(error) => {
                let refused = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                refused.for_each(|partition| partition.error_code = error.code());
            }
        }
        OffsetCommitResponse::default().with_topics(topics)
    }
}

/// Partitions by topic; `None` asks for all that are committed.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
/// Topics with partition and offset, where one is committed.
type Found = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;

pub(super) async fn fetch_group(server: &Server, group: &str, wanted: Wanted) -> Found {
    let (committed, pending) = server.coordinator.offsets.of_group(group);
    // What a crash could still take back is not told to anyone.
    pending.synced().await;
    let mut by_topic: BTreeMap<String, BTreeMap<i32, Committed>> = BTreeMap::new();
    for (key, committed) in committed {
        by_topic
            .entry(key.topic)
            .or_default()
            .insert(key.partition, committed);
    }
    match wanted {
        Some(topics) => topics
            .into_iter()
            .map(|(name, partitions)| {
                let known = by_topic.get(&**name);
                let found = partitions
                    .into_iter()
                    .map(|number| (number, known.and_then(|known| known.get(&number)).cloned()));
                let found = found.collect();
                (name, found)
            })
            .collect(),
        None => by_topic
            .into_iter()
            .map(|(name, known)| {
                let found = known
                    .into_iter()
                    .map(|(number, committed)| (number, Some(committed)));
                (TopicName(text(&name)), found.collect())
            })
            .collect(),
    }
}

pub(super) fn fetch(
    server: &Arc<Server>,
    ask: OffsetFetchRequest,
    version: i16,
) -> impl Future<Output = OffsetFetchResponse> + Send + use<> {
    let server = server.clone();
    async move {
        if version < 8 {
            let wanted = ask.topics.map(|topics| {
                topics
                    .into_iter()
                    .map(|topic| (topic.name, topic.partition_indexes))
                    .collect()
            });
            let found = fetch_group(&server, &ask.group_id, wanted).await;
            return OffsetFetchResponse::default().with_topics(old_topics(found));
        }
        let mut groups = Vec::with_capacity(ask.groups.len());
        for group in ask.groups {
            let wanted = group.topics.map(|topics| {
                topics
                    .into_iter()
                    .map(|topic| (topic.name, topic.partition_indexes))
                    .collect()
            });
            let found = fetch_group(&server, &group.group_id, wanted).await;
            let topics = new_topics(found);
            groups.push(
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id)
                    .with_topics(topics),
            );
        }
        OffsetFetchResponse::default().with_groups(groups)
    }
}

fn old_topics(found: Found) -> Vec<OffsetFetchResponseTopic> {
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(number, committed)| {
            let (offset, leader_epoch, metadata) = spread(committed);
            OffsetFetchResponsePartition::default()
                .with_partition_index(number)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(text(&metadata)))
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

fn new_topics(found: Found) -> Vec<OffsetFetchResponseTopics> {
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(number, committed)| {
            let (offset, leader_epoch, metadata) = spread(committed);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(number)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(text(&metadata)))
        });
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

/// As the protocol says that nothing is committed.
fn spread(committed: Option<Committed>) -> (i64, i32, String) {
    committed.map_or((-1, -1, String::new()), |committed| {
        (committed.offset, committed.leader_epoch, committed.metadata)
    })
}

pub(super) fn delete(
    server: &Arc<Server>,
    ask: OffsetDeleteRequest,
) -> impl Future<Output = OffsetDeleteResponse> + Send + use<> {
    let mut wanted = BTreeMap::<String, BTreeSet<i32>>::new();
    for topic in &ask.topics {
        let partitions = topic.partitions.iter().map(|part| part.partition_index);
        wanted
            .entry(topic.name.to_string())
            .or_default()
            .extend(partitions);
    }
    let written = server
        .coordinator
        .delete_offsets(&ask.group_id, &wanted, now_ms());
    if let Ok((pending, _)) = &written {
        server.syncer.enqueue(&pending.log);
    }
    let server = server.clone();
    async move {
        let (pending, read) = match written {
            Ok(done) => done,
            Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
        };
        pending.synced().await;
        let topics = ask.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|part| {
                let number = part.partition_index;
                let error = if server.topics.partition(&topic.name, number).is_none() {
                    Some(ResponseError::UnknownTopicOrPartition)
                } else if read.contains(&**topic.name) {
                    Some(ResponseError::GroupSubscribedToTopic)
                } else {
                    None
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(number)
                    .with_error_code(error.map_or(0, |error| error.code()))
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        OffsetDeleteResponse::default().with_topics(topics.collect())
    }
}
