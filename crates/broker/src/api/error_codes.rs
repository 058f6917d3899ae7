//! Where each answer says what went wrong, so that errors can be counted in one place.

use std::iter::once;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsResponse, ApiVersionsResponse, CreatePartitionsResponse, CreateTopicsResponse,
    DeleteGroupsResponse, DeleteRecordsResponse, DeleteTopicsResponse, DescribeClusterResponse,
    DescribeConfigsResponse, DescribeGroupsResponse, DescribeLogDirsResponse,
    DescribeProducersResponse, DescribeTransactionsResponse, FetchResponse,
    FindCoordinatorResponse, HeartbeatResponse, IncrementalAlterConfigsResponse,
    InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    ListOffsetsResponse, ListTransactionsResponse, MetadataResponse, OffsetCommitResponse,
    OffsetDeleteResponse, OffsetFetchResponse, OffsetForLeaderEpochResponse, ProduceResponse,
    SyncGroupResponse,
};

use crate::log::ReadError;

/// All error codes of an answer, 0 where nothing went wrong.
pub(super) trait ErrorCodes {
    fn error_codes(&self) -> impl Iterator<Item = i16>;
}

impl ErrorCodes for ProduceResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for FetchResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.responses.iter().flat_map(|topic| &topic.partitions);
        once(self.error_code).chain(parts.map(|part| part.error_code))
    }
}

impl ErrorCodes for ListOffsetsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for MetadataResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for OffsetCommitResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for OffsetFetchResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let old = self.topics.iter().flat_map(|topic| &topic.partitions);
        let groups = self.groups.iter();
        let new = groups
            .clone()
            .flat_map(|group| &group.topics)
            .flat_map(|topic| &topic.partitions);
        once(self.error_code)
            .chain(old.map(|part| part.error_code))
            .chain(groups.map(|group| group.error_code))
            .chain(new.map(|part| part.error_code))
    }
}

impl ErrorCodes for FindCoordinatorResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code).chain(self.coordinators.iter().map(|one| one.error_code))
    }
}

impl ErrorCodes for JoinGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for HeartbeatResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for LeaveGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code).chain(self.members.iter().map(|one| one.error_code))
    }
}

impl ErrorCodes for SyncGroupResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for DescribeGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.groups.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for ListGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for ApiVersionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for CreateTopicsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.topics.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for DeleteTopicsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for DeleteRecordsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for InitProducerIdResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for OffsetForLeaderEpochResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for DescribeConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for AlterConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for DescribeLogDirsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code).chain(self.results.iter().map(|one| one.error_code))
    }
}

impl ErrorCodes for CreatePartitionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for DeleteGroupsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.results.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for IncrementalAlterConfigsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.responses.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for OffsetDeleteResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        once(self.error_code).chain(parts.map(|part| part.error_code))
    }
}

impl ErrorCodes for DescribeClusterResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

impl ErrorCodes for DescribeProducersResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        let parts = self.topics.iter().flat_map(|topic| &topic.partitions);
        parts.map(|part| part.error_code)
    }
}

impl ErrorCodes for DescribeTransactionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        self.transaction_states.iter().map(|one| one.error_code)
    }
}

impl ErrorCodes for ListTransactionsResponse {
    fn error_codes(&self) -> impl Iterator<Item = i16> {
        once(self.error_code)
    }
}

/// What a client is told of records that could not be read.
pub(super) fn of_failed_read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::Damaged { .. } => ResponseError::CorruptMessage,
        ReadError::Io(_) => ResponseError::KafkaStorageError,
    }
}
