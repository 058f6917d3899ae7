//! What is asked about transactions, of which there are none, and about the producers that a
//! partition remembers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, ListTransactionsRequest, ListTransactionsResponse, ProducerId,
};

use crate::log::KnownProducer;
use crate::server::Server;

/// The states that a client may ask for, as Kafka names them.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
    "Dead",
];

pub(super) fn describe_producers(
    server: &Server,
    ask: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = ask.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|&number| {
            let response = PartitionResponse::default().with_partition_index(number);
            match server.topics.partition(&topic.name, number) {
                Some(log) => {
                    response.with_active_producers(log.log().producers().map(producer).collect())
                }
                None => response.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

/// Coordinator epoch and first offset are -1 by default: nobody is in a transaction.
fn producer(known: KnownProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(known.id))
        .with_producer_epoch(i32::from(known.epoch))
        .with_last_sequence(known.last_sequence)
        .with_last_timestamp(known.seen_ms)
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(-1)
}

pub(super) fn describe(ask: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = ask.transactional_ids.into_iter().map(|id| {
        TransactionState::default()
            .with_transactional_id(id)
            .with_error_code(ResponseError::TransactionalIdNotFound.code())
            .with_producer_id(ProducerId(-1))
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

pub(super) fn list(ask: ListTransactionsRequest) -> ListTransactionsResponse {
    let unknown = ask.state_filters.into_iter();
    let unknown = unknown.filter(|state| !STATES.contains(&&**state));
    ListTransactionsResponse::default().with_unknown_state_filters(unknown.collect())
}
