//! Records deleted from the beginning of partitions.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::changing;
use crate::Error;
use crate::partition::Partition;
use crate::server::Server;

/// Stands for the high watermark in a request.
const ALL: i64 = -1;

pub(super) async fn delete(
    server: Arc<Server>,
    ask: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(ask.topics.len());
    for topic in ask.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for part in topic.partitions {
            let result =
                DeleteRecordsPartitionResult::default().with_partition_index(part.partition_index);
            let compacted =
                (server.topics.find(&topic.name)).is_some_and(|topic| !topic.log_settings.deletes);
            let deleted = match server.topics.partition(&topic.name, part.partition_index) {
                Some(_) if compacted => Err(ResponseError::PolicyViolation),
                Some(log) => {
                    let shared = server.clone();
                    changing(&server, move || delete_before(&shared, &log, part.offset)).await
                }
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            partitions.push(match deleted {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            });
        }
        topics.push(
            DeleteRecordsTopicResult::default()
                .with_name(topic.name)
                .with_partitions(partitions),
        );
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

fn delete_before(server: &Server, log: &Partition, offset: i64) -> Result<i64, ResponseError> {
    let end = log.high_watermark();
    let offset = if offset == ALL { end } else { offset };
    if !(0..=end).contains(&offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    log.delete_before(offset).map_err(|error| {
        tracing::error!(error = error.with_sources(), "records could not be deleted");
        if matches!(error, Error::Sync { .. }) {
            server.syncer.fail(error);
        }
        ResponseError::KafkaStorageError
    })
}
