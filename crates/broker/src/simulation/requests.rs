//! Requests as clients make them.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, GroupId,
    HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListOffsetsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    ProduceRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::model::Sender;
use super::plan::Plan;
use crate::batch::{self, NewRecord};

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn group(number: usize) -> GroupId {
    GroupId(text(&format!("group-{number}")))
}

/// The key of a record of a batch. There are few, so that compaction has something to do.
pub(super) fn key(id: usize, record: i32) -> String {
    format!("k{}", (id as i32 + record) % 5)
}

/// A batch whose records carry its number, so that it is known wherever it is found; but for the
/// last one, if it is to be a tombstone.
pub(super) fn batch(
    id: usize,
    records: i32,
    padding: usize,
    timestamp: i64,
    sender: Option<Sender>,
    ends_with_tombstone: bool,
) -> Vec<u8> {
    let value = [&id.to_be_bytes()[..], &vec![id as u8; padding]].concat();
    let keys: Vec<_> = (0..records).map(|record| key(id, record)).collect();
    let list = keys.iter().enumerate().map(|(i, key)| {
        let is_tombstone = ends_with_tombstone && i > 0 && i + 1 == keys.len();
        NewRecord {
            key: key.as_bytes(),
            value: (!is_tombstone).then_some(&*value),
        }
    });
    let list: Vec<_> = list.collect();
    let mut bytes = batch::build(&list, timestamp);
    if let Some(sender) = sender {
        bytes[43..51].copy_from_slice(&sender.id.to_be_bytes());
        bytes[51..53].copy_from_slice(&sender.epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&sender.sequence.to_be_bytes());
        let sum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

pub(super) const PRODUCE: i16 = 8;

pub(super) fn produce(name: &str, partition: i32, batch: &[u8]) -> ProduceRequest {
    let part = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(Bytes::copy_from_slice(batch)));
    let data = TopicProduceData::default()
        .with_name(topic(name))
        .with_partition_data(vec![part]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![data])
}

pub(super) const INIT_PRODUCER_ID: i16 = 3;

pub(super) fn init_producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1)
}

pub(super) const FETCH: i16 = 11;

pub(super) fn fetch(name: &str, partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let part = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(max_bytes);
    let wanted = FetchTopic::default()
        .with_topic(topic(name))
        .with_partitions(vec![part]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![wanted])
}

pub(super) const LIST_OFFSETS: i16 = 5;

pub(super) fn list_offsets(name: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let part = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let wanted = ListOffsetsTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![part]);
    ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![wanted])
}

pub(super) const DELETE_RECORDS: i16 = 1;

pub(super) fn delete_records(name: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let part = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let wanted = DeleteRecordsTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![part]);
    DeleteRecordsRequest::default().with_topics(vec![wanted])
}

pub(super) const CREATE_TOPICS: i16 = 7;

pub(super) fn create_topic(name: &str, plan: &Plan) -> CreateTopicsRequest {
    let set = |key: &str, value: &str| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    };
    let config = |key: &str, value: i64| set(key, &value.to_string());
    let mut configs = vec![
        config("segment.bytes", plan.segment_bytes),
        config("retention.ms", plan.retention_ms),
        config("retention.bytes", plan.retention_bytes),
    ];
    if plan.compacts {
        configs.extend([
            set("cleanup.policy", "compact"),
            set("min.cleanable.dirty.ratio", "0.05"),
            config("delete.retention.ms", 300),
        ]);
    }
    let wanted = CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(plan.partitions)
        .with_replication_factor(1)
        .with_configs(configs);
    CreateTopicsRequest::default().with_topics(vec![wanted])
}

pub(super) const DELETE_TOPICS: i16 = 5;

pub(super) fn delete_topic(name: &str) -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topic_names(vec![topic(name)])
}

pub(super) const COMMIT: i16 = 7;

pub(super) fn commit(
    in_group: usize,
    member: Option<(&str, i32)>,
    (name, partition, offset): (&str, i32, i64),
) -> OffsetCommitRequest {
    let part = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset);
    let committed = OffsetCommitRequestTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![part]);
    let (member, generation) = member.unwrap_or(("", -1));
    OffsetCommitRequest::default()
        .with_group_id(group(in_group))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![committed])
}

pub(super) const FETCH_OFFSETS: i16 = 7;

pub(super) fn fetch_offsets(in_group: usize, wanted: &[(&str, i32)]) -> OffsetFetchRequest {
    let topics = wanted.iter().map(|(name, partition)| {
        OffsetFetchRequestTopic::default()
            .with_name(topic(name))
            .with_partition_indexes(vec![*partition])
    });
    OffsetFetchRequest::default()
        .with_group_id(group(in_group))
        .with_topics(Some(topics.collect()))
}

pub(super) const FORGET_OFFSETS: i16 = 0;

pub(super) fn forget_offsets(in_group: usize, name: &str, partition: i32) -> OffsetDeleteRequest {
    let part = OffsetDeleteRequestPartition::default().with_partition_index(partition);
    let gone = OffsetDeleteRequestTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![part]);
    OffsetDeleteRequest::default()
        .with_group_id(group(in_group))
        .with_topics(vec![gone])
}

pub(super) const JOIN: i16 = 4;

pub(super) fn join(in_group: usize, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(group(in_group))
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(3_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

pub(super) const SYNC_GROUP: i16 = 3;

pub(super) fn sync_group(
    in_group: usize,
    member: &str,
    generation: i32,
    members: &[String],
) -> SyncGroupRequest {
    let assignments = members
        .iter()
        .map(|member| SyncGroupRequestAssignment::default().with_member_id(text(member)));
    SyncGroupRequest::default()
        .with_group_id(group(in_group))
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(assignments.collect())
}

pub(super) const HEARTBEAT: i16 = 3;

pub(super) fn heartbeat(in_group: usize, member: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group(in_group))
        .with_generation_id(generation)
        .with_member_id(text(member))
}

pub(super) const LEAVE: i16 = 3;

pub(super) fn leave(in_group: usize, member: &str) -> LeaveGroupRequest {
    LeaveGroupRequest::default()
        .with_group_id(group(in_group))
        .with_members(vec![MemberIdentity::default().with_member_id(text(member))])
}
