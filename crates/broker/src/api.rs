//! Kafka's requests: which there are, and who answers them.
//!
//! [`begin`] takes a request off the wire to its handler. A handler first changes what the
//! request is to change, in the order in which requests came, and then gives an [`Answer`].

mod configs;
mod error_codes;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod producer_id;
mod records;
mod shape;
mod supported;
mod topics;
mod transactions;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiKey, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    ResponseHeader, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::sync::OwnedSemaphorePermit;

use error_codes::ErrorCodes;
#[cfg(test)]
pub(crate) use shape::{closing, split_condition};
pub(crate) use supported::call_name;
#[cfg(test)]
pub(crate) use supported::{SUPPORTED, Supported};

pub(crate) use crate::clock::now_ms;

use crate::server::frame::RequestFrame;
use crate::server::{Answer, Frame, Peer, Server};
use crate::stats::Counters;

/// How many kinds of requests there are.
pub(crate) const CALLS: usize = supported::SUPPORTED.len();

/// Why a request closes its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("request {key} is not one that this broker knows")]
    UnknownKey { key: i16 },
    #[error("request {key:?} in version {version} is not supported")]
    UnknownVersion { key: ApiKey, version: i16 },
    #[error("a request {key:?} is not what its version {version} should be")]
    Malformed { key: ApiKey, version: i16 },
    #[error("a request is too short for its header")]
    NoHeader,
    /// Kafka, too, has no other way to say it to someone who wants no answer.
    #[error("records that need no acknowledgement could not be taken (error {code})")]
    Unacknowledged { code: i16 },
}

/// A request that has been read as far as its header.
#[derive(Debug)]
pub(crate) struct Request {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: String,
    peer: Peer,
    body: Bytes,
    memory: Option<OwnedSemaphorePermit>,
    /// When it had been read.
    since: Instant,
    counters: Arc<Counters>,
}

/// Begins a request. `None` is the answer of one that wants none.
pub(crate) async fn begin(
    server: &Arc<Server>,
    peer: Peer,
    frame: RequestFrame,
) -> Result<Option<Answer>, BadRequest> {
    let mut request = Request::parse(frame, peer, &server.counters)?;
    let version = request.version;
    if !supported::is_supported(request.key, version) {
        return match request.key {
            // Asked for a version of the question itself that is too new: an answer in the oldest
            // form says which ones there are (KIP-511).
            ApiKey::ApiVersions => {
                request.version = 0;
                Ok(Some(request.answer(supported::api_versions(false))))
            }
            key => Err(BadRequest::UnknownVersion { key, version }),
        };
    }
    let shape = supported::shape(request.key);
    let flexible = request.key.request_header_version(version) >= 2;
    if !shape::fits(shape, version, flexible, &request.body) {
        return Err(BadRequest::Malformed {
            key: request.key,
            version,
        });
    }
    dispatch(server, request).await
}

async fn dispatch(
    server: &Arc<Server>,
    mut request: Request,
) -> Result<Option<Answer>, BadRequest> {
    let version = request.version;
    let shared = server.clone();
    let answer = match request.key {
        ApiKey::ApiVersions => request.answer(supported::api_versions(true)),
        ApiKey::Produce => return produce::produce(server, request).await,
        ApiKey::Fetch => {
            let ask = request.decode::<FetchRequest>()?;
            return Ok(Some(fetch::fetch(shared, request, ask)));
        }
        ApiKey::ListOffsets => {
            let ask = request.decode::<ListOffsetsRequest>()?;
            request.answer_later(list_offsets::list(shared, ask, version))
        }
        ApiKey::OffsetForLeaderEpoch => {
            let ask = request.decode::<OffsetForLeaderEpochRequest>()?;
            request.answer(list_offsets::of_epochs(server, ask))
        }
        ApiKey::Metadata => {
            let ask = request.decode::<MetadataRequest>()?;
            request.answer_later(metadata::metadata(shared, ask, version))
        }
        ApiKey::DescribeCluster => {
            let _: DescribeClusterRequest = request.decode()?;
            request.answer(metadata::cluster(server))
        }
        ApiKey::DescribeLogDirs => {
            let ask = request.decode::<DescribeLogDirsRequest>()?;
            request.answer(metadata::log_dirs(server, ask))
        }
        ApiKey::CreateTopics => {
            let ask = request.decode::<CreateTopicsRequest>()?;
            let created = topics::create(shared, ask).await;
            request.answer(created)
        }
        ApiKey::DeleteTopics => {
            let ask = request.decode::<DeleteTopicsRequest>()?;
            let deleted = topics::delete(shared, ask, version).await;
            request.answer_later(deleted)
        }
        ApiKey::CreatePartitions => {
            let ask = request.decode::<CreatePartitionsRequest>()?;
            let created = topics::create_partitions(shared, ask).await;
            request.answer(created)
        }
        ApiKey::DeleteRecords => {
            let ask = request.decode::<DeleteRecordsRequest>()?;
            let deleted = records::delete(shared, ask).await;
            request.answer(deleted)
        }
        ApiKey::DescribeConfigs => {
            let ask = request.decode::<DescribeConfigsRequest>()?;
            request.answer(configs::describe(server, ask))
        }
        ApiKey::AlterConfigs => {
            let ask = request.decode::<AlterConfigsRequest>()?;
            let altered = configs::replace(shared, ask).await;
            request.answer(altered)
        }
        ApiKey::IncrementalAlterConfigs => {
            let ask = request.decode::<IncrementalAlterConfigsRequest>()?;
            let altered = configs::alter(shared, ask).await;
            request.answer(altered)
        }
        ApiKey::InitProducerId => {
            let ask = request.decode::<InitProducerIdRequest>()?;
            request.answer_later(producer_id::init(shared, ask))
        }
        ApiKey::DescribeProducers => {
            let ask = request.decode::<DescribeProducersRequest>()?;
            request.answer(transactions::describe_producers(server, ask))
        }
        ApiKey::DescribeTransactions => {
            let ask = request.decode::<DescribeTransactionsRequest>()?;
            request.answer(transactions::describe(ask))
        }
        ApiKey::ListTransactions => {
            let ask = request.decode::<ListTransactionsRequest>()?;
            request.answer(transactions::list(ask))
        }
        ApiKey::FindCoordinator => {
            let ask = request.decode::<FindCoordinatorRequest>()?;
            request.answer(groups::find_coordinator(server, ask, version))
        }
        ApiKey::JoinGroup => {
            let ask = request.decode::<JoinGroupRequest>()?;
            let joined = groups::join(server, ask, &request);
            request.answer_later(joined)
        }
        ApiKey::SyncGroup => {
            let ask = request.decode::<SyncGroupRequest>()?;
            request.answer_later(groups::sync(server, ask))
        }
        ApiKey::Heartbeat => {
            let ask = request.decode::<HeartbeatRequest>()?;
            request.answer(groups::heartbeat(server, ask))
        }
        ApiKey::LeaveGroup => {
            let ask = request.decode::<LeaveGroupRequest>()?;
            request.answer(groups::leave(server, ask, version))
        }
        ApiKey::DescribeGroups => {
            let ask = request.decode::<DescribeGroupsRequest>()?;
            request.answer(groups::describe(server, ask, version))
        }
        ApiKey::ListGroups => {
            let ask = request.decode::<ListGroupsRequest>()?;
            request.answer(groups::list(server, ask))
        }
        ApiKey::DeleteGroups => {
            let ask = request.decode::<DeleteGroupsRequest>()?;
            request.answer_later(groups::delete(server, ask))
        }
        ApiKey::OffsetCommit => {
            let ask = request.decode::<OffsetCommitRequest>()?;
            request.answer_later(offsets::commit(server, ask))
        }
        ApiKey::OffsetFetch => {
            let ask = request.decode::<OffsetFetchRequest>()?;
            request.answer_later(offsets::fetch(server, ask, version))
        }
        ApiKey::OffsetDelete => {
            let ask = request.decode::<OffsetDeleteRequest>()?;
            request.answer_later(offsets::delete(server, ask))
        }
        key => return Err(BadRequest::UnknownKey { key: key as i16 }),
    };
    Ok(Some(answer))
}

impl Request {
    fn parse(
        frame: RequestFrame,
        peer: Peer,
        counters: &Arc<Counters>,
    ) -> Result<Request, BadRequest> {
        let mut body = frame.bytes;
        if body.len() < 8 {
            return Err(BadRequest::NoHeader);
        }
        let number = body.get_i16();
        let version = body.get_i16();
        let correlation_id = body.get_i32();
        let key = ApiKey::try_from(number).map_err(|()| BadRequest::UnknownKey { key: number })?;
        if !supported::is_known(key) {
            return Err(BadRequest::UnknownKey { key: number });
        }
        // The client's name is nullable and never compact; what else a header holds may be skipped.
        let flexible = key.request_header_version(version) >= 2;
        let size = shape::size("S", version, false, &body).ok_or(BadRequest::NoHeader)?;
        let name = body.split_to(size);
        let client_id = String::from_utf8_lossy(name.get(2..).unwrap_or_default()).into_owned();
        // Of a version that is not supported, not even the header's form is known for sure.
        if flexible && supported::is_supported(key, version) {
            let size = shape::size("", version, true, &body).ok_or(BadRequest::NoHeader)?;
            body.advance(size);
        }
        Ok(Request {
            key,
            version,
            correlation_id,
            client_id,
            peer,
            body,
            memory: frame.memory,
            since: Instant::now(),
            counters: counters.clone(),
        })
    }

    fn decode<T: Decodable>(&mut self) -> Result<T, BadRequest> {
        let malformed = BadRequest::Malformed {
            key: self.key,
            version: self.version,
        };
        T::decode(&mut self.body, self.version).map_err(|_| malformed)
    }

    /// An answer that is known already.
    fn answer<T: Response>(self, response: T) -> Answer {
        let frame = self.frame(&response);
        Box::pin(async move { frame })
    }

    /// An answer that is worked out when its turn has come.
    fn answer_later<T: Response>(
        self,
        response: impl Future<Output = T> + Send + 'static,
    ) -> Answer {
        Box::pin(async move { self.frame(&response.await) })
    }

    /// Counts it as dealt with.
    fn count(&self) {
        let call = supported::place(self.key);
        self.counters.count_call(call, self.since.elapsed());
    }

    fn frame<T: Response>(&self, response: &T) -> Frame {
        self.counters.count_errors(response.error_codes());
        self.count();
        self.frame_of(T::header_version(self.version), |begun| {
            response.encode(begun, self.version)?;
            Ok(())
        })
    }

    /// Of what `encode` puts behind a header. Empty, which ends the connection, if the answer
    /// cannot be said in this version; that would be a mistake of the handler's.
    fn frame_of(
        &self,
        header_version: i16,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), Unsayable>,
    ) -> Frame {
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_u32(0);
        let encoded = match header.encode(&mut bytes, header_version) {
            Ok(()) => encode(&mut bytes),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = encoded {
            tracing::error!(key = ?self.key, version = self.version, %error, "an answer cannot be written");
            return Frame {
                bytes: BytesMut::new(),
                memory: None,
            };
        }
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Frame {
            bytes,
            memory: None,
        }
    }
}

/// Why an answer cannot be said in a version.
type Unsayable = Box<dyn std::error::Error + Send + Sync>;

/// What can be sent back.
trait Response: Encodable + HeaderVersion + ErrorCodes + Send + 'static {}

impl<T: Encodable + HeaderVersion + ErrorCodes + Send + 'static> Response for T {}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// As [`blocking`], for what changes files: a log that is closed waits for it, and what begins
/// after that is not done.
pub(crate) async fn changing<T: Send + 'static>(
    server: &Arc<Server>,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let server = server.clone();
    let done = blocking(move || {
        let _inside = server.door.enter()?;
        Some(work())
    });
    match done.await {
        Some(done) => done,
        // Its connection is cut, and nobody is left to be answered.
        None => std::future::pending().await,
    }
}

/// Runs what waits for the disk where it holds up nobody. A panic there spreads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(test)]
    if crate::clock::simulated::now().is_some() {
        // A simulation has one thread.
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and nobody is left to be answered.
            Err(_) => std::future::pending().await,
        },
    }
}
