//! Produce: appended when the request is begun, acknowledged when it is synced.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

use super::{BadRequest, Request, blocking, changing, now_ms, text};
use crate::batch::{self, Fault};
use crate::log::{AppendError, Appended};
use crate::partition::Partition;
use crate::server::{Answer, Server};
use crate::topics::Topic;

/// What became of one partition's batch.
struct Outcome {
    partition: i32,
    result: Result<Written, Refusal>,
}

struct Written {
    log: Arc<Partition>,
    appended: Appended,
    start_offset: i64,
}

struct Refusal {
    error: ResponseError,
    message: Option<&'static str>,
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Refusal {
            error,
            message: None,
        }
    }
}

pub(super) async fn produce(
    server: &Arc<Server>,
    mut request: Request,
) -> Result<Option<Answer>, BadRequest> {
    let ask = request.decode::<ProduceRequest>()?;
    let refusal = refuse_all(&ask);
    let mut topics = Vec::with_capacity(ask.topic_data.len());
    for data in ask.topic_data {
        let topic = server.topics.find(&data.name);
        let mut outcomes = Vec::with_capacity(data.partition_data.len());
        for part in data.partition_data {
            let result = match (refusal, &topic) {
                (Some(error), _) => Err(error.into()),
                (None, None) => Err(ResponseError::UnknownTopicOrPartition.into()),
                (None, Some(topic)) => {
                    append(server, topic, part.index, part.records.unwrap_or_default()).await
                }
            };
            outcomes.push(Outcome {
                partition: part.index,
                result,
            });
        }
        topics.push((data.name, outcomes));
    }
    if ask.acks == 0 {
        let failed = topics
            .iter()
            .flat_map(|(_, outcomes)| outcomes)
            .find_map(|outcome| outcome.result.as_ref().err());
        return match failed {
            Some(refusal) => Err(BadRequest::Unacknowledged {
                code: refusal.error.code(),
            }),
            None => {
                request.count();
                Ok(None)
            }
        };
    }
    // The records are in the log; only the acknowledgement is left to wait for.
    request.memory = None;
    Ok(Some(request.answer_later(acknowledge(topics))))
}

fn refuse_all(ask: &ProduceRequest) -> Option<ResponseError> {
    if ask.transactional_id.is_some() {
        return Some(ResponseError::TransactionalIdAuthorizationFailed);
    }
    (!(-1..=1).contains(&ask.acks)).then_some(ResponseError::InvalidRequiredAcks)
}

async fn append(
    server: &Arc<Server>,
    topic: &Arc<Topic>,
    number: i32,
    bytes: Bytes,
) -> Result<Written, Refusal> {
    let partition = usize::try_from(number)
        .ok()
        .and_then(|number| topic.partitions.get(number));
    let partition = partition
        .ok_or(ResponseError::UnknownTopicOrPartition)?
        .clone();
    let (settings, now) = (topic.log_settings, now_ms());
    let keyed = settings.compaction.is_some();
    let largest = topic.max_message_bytes;
    let checked = if batch::is_packed(&bytes) {
        let _turn = server.unpacking.acquire().await;
        let bytes = bytes.clone();
        blocking(move || batch::check(&bytes, largest, keyed)).await
    } else {
        batch::check(&bytes, largest, keyed)
    };
    let header = checked.map_err(refuse)?;
    if partition.log().is_full(bytes.len(), &settings, now) {
        // A roll waits for the disk, which is not to be done here. Should another producer fill
        // the new segment before this one gets to it, the append rolls once more by itself.
        let (full, size) = (partition.clone(), bytes.len());
        let rolled = changing(server, move || full.roll_if_full(size, &settings, now)).await;
        if let Err(error) = rolled {
            return Err(not_written(server, topic, number, &partition, &error).into());
        }
    }
    if partition.is_deleted() {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    }
    let appended =
        partition
            .append(&bytes, header, &settings, now)
            .map_err(|error| match error {
                AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
                AppendError::Fenced => ResponseError::InvalidProducerEpoch,
                AppendError::Disk(error) => not_written(server, topic, number, &partition, &error),
            })?;
    server.syncer.enqueue(&partition);
    let counters = &server.counters;
    if appended.duplicate {
        counters.duplicates.fetch_add(1, Relaxed);
    } else {
        counters.batches_appended.fetch_add(1, Relaxed);
        counters
            .records_appended
            .fetch_add(header.records as u64, Relaxed);
        counters
            .bytes_appended
            .fetch_add(bytes.len() as u64, Relaxed);
    }
    let start_offset = partition.log().start_offset();
    Ok(Written {
        log: partition,
        appended,
        start_offset,
    })
}

fn not_written(
    server: &Server,
    topic: &Topic,
    number: i32,
    partition: &Arc<Partition>,
    error: &(dyn std::error::Error + 'static),
) -> ResponseError {
    tracing::error!(error, topic = %topic.name, partition = number, "a batch could not be written");
    // Had it to do with a sync, this finds out and stops the broker.
    server.syncer.enqueue(partition);
    ResponseError::KafkaStorageError
}

fn refuse(fault: Fault) -> Refusal {
    let (error, message) = match fault {
        Fault::Corrupt => (ResponseError::CorruptMessage, None),
        Fault::OldFormat => (ResponseError::UnsupportedForMessageFormat, None),
        Fault::Invalid(message) => (ResponseError::InvalidRecord, Some(message)),
        Fault::TooLarge => (ResponseError::MessageTooLarge, None),
        Fault::UnknownCompression => (ResponseError::UnsupportedCompressionType, None),
        Fault::Transactional => (
            ResponseError::InvalidTxnState,
            Some("transactions are not supported"),
        ),
    };
    Refusal { error, message }
}

async fn acknowledge(topics: Vec<(TopicName, Vec<Outcome>)>) -> ProduceResponse {
    let mut responses = Vec::with_capacity(topics.len());
    for (name, outcomes) in topics {
        let mut partitions = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let response = PartitionProduceResponse::default().with_index(outcome.partition);
            partitions.push(match outcome.result {
                Ok(written) => acknowledge_one(response, written).await,
                Err(refusal) => refused(response, refusal),
            });
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(name)
                .with_partition_responses(partitions),
        );
    }
    ProduceResponse::default().with_responses(responses)
}

/// A duplicate waits for the same sync as the first one: it may still be in the air.
async fn acknowledge_one(
    response: PartitionProduceResponse,
    written: Written,
) -> PartitionProduceResponse {
    if written
        .log
        .synced(written.appended.next_offset)
        .await
        .is_err()
    {
        return refused(response, ResponseError::UnknownTopicOrPartition.into());
    }
    response
        .with_base_offset(written.appended.offset)
        .with_log_append_time_ms(written.appended.append_time.unwrap_or(-1))
        .with_log_start_offset(written.start_offset)
}

fn refused(response: PartitionProduceResponse, refusal: Refusal) -> PartitionProduceResponse {
    response
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.message.map(text))
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
}
