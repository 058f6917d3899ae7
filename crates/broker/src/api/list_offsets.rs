//! Offsets by time, at the ends, and at the end of a leader's epoch.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::blocking;
use super::error_codes::of_failed_read;
use crate::batch::LEADER_EPOCH;
use crate::log::ReadError;
use crate::partition::Partition;
use crate::server::Server;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST: i64 = -3;
/// With nothing kept elsewhere, all that there is is local, and nothing is tiered.
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// Offset and timestamp; -1 where there is none.
type Position = (i64, i64);

pub(super) async fn list(
    server: Arc<Server>,
    ask: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(ask.topics.len());
    for topic in ask.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in topic.partitions {
            let response =
                ListOffsetsPartitionResponse::default().with_partition_index(part.partition_index);
            let log = server.topics.partition(&topic.name, part.partition_index);
            let found = match log {
                None => Err(ResponseError::UnknownTopicOrPartition),
                Some(_) if part.current_leader_epoch > LEADER_EPOCH => {
                    Err(ResponseError::UnknownLeaderEpoch)
                }
                Some(log) => look_up(log, part.timestamp).await,
            };
            partitions.push(match found {
                Ok((offset, timestamp)) => response
                    .with_offset(offset)
                    .with_timestamp(timestamp)
                    .with_leader_epoch(if version >= 4 { LEADER_EPOCH } else { -1 }),
                Err(error) => response
                    .with_error_code(error.code())
                    .with_offset(-1)
                    .with_timestamp(-1),
            });
        }
        topics.push(
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions),
        );
    }
    ListOffsetsResponse::default().with_topics(topics)
}

async fn look_up(log: Arc<Partition>, timestamp: i64) -> Result<Position, ResponseError> {
    match timestamp {
        LATEST => Ok((log.high_watermark(), -1)),
        EARLIEST | EARLIEST_LOCAL => Ok((log.log().start_offset(), -1)),
        LATEST_TIERED => Ok((-1, -1)),
        NEWEST | 0.. => {
            let looked_up = blocking(move || {
                by_time(&log, timestamp).inspect_err(|error| log.log_failed_read(error))
            });
            looked_up.await.map_err(|error| of_failed_read(&error))
        }
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn by_time(log: &Partition, timestamp: i64) -> Result<Position, ReadError> {
    let found = match timestamp {
        NEWEST => log.newest()?,
        _ => log.find_time(timestamp)?,
    };
    Ok(found.map_or((-1, -1), |found| (found.offset, found.timestamp)))
}

/// There is one epoch, and it ends where the log ends.
pub(super) fn of_epochs(
    server: &Server,
    ask: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = ask.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|part| {
            let response = EpochEndOffset::default().with_partition(part.partition);
            match server.topics.partition(&topic.topic, part.partition) {
                None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                Some(_) if part.current_leader_epoch > LEADER_EPOCH => {
                    response.with_error_code(ResponseError::UnknownLeaderEpoch.code())
                }
                Some(log) if part.leader_epoch == LEADER_EPOCH => response
                    .with_leader_epoch(LEADER_EPOCH)
                    .with_end_offset(log.high_watermark()),
                Some(_) => response.with_leader_epoch(-1).with_end_offset(-1),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic)
            .with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
