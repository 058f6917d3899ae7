//! Fetch: what is synced, at once if there is enough of it, else when there is or time is up.
//!
//! Fetch sessions are answered without a session, which makes clients send whole requests.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::{Request, blocking};
use crate::batch::LEADER_EPOCH;
use crate::log::Place;
use crate::partition::Partition;
use crate::server::{Answer, Server};

/// Longer than any client waits in earnest; it bounds what is held for one that went away.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One answer holds no more than this part of the memory for all, or a few slow readers would
/// hold up everybody.
const SHARE: usize = 8;

/// One partition that is asked for.
#[derive(Clone)]
struct Wanted {
    partition: i32,
    log: Option<Arc<Partition>>,
    offset: i64,
    max_bytes: usize,
    leader_epoch: i32,
}

/// What there is of it.
struct Found {
    error: Option<ResponseError>,
    high_watermark: i64,
    start_offset: i64,
    place: Option<Place>,
    records: Bytes,
}

pub(super) fn fetch(server: Arc<Server>, request: Request, ask: FetchRequest) -> Answer {
    Box::pin(async move {
        // An incremental request of a session that was never begun.
        if ask.session_id != 0 {
            let error = ResponseError::FetchSessionIdNotFound.code();
            return request.frame(&FetchResponse::default().with_error_code(error));
        }
        let wanted = resolve(&server, &ask);
        let (found, memory) = wait(&server, &ask, &wanted).await;
        let bytes: usize = found.iter().map(|found| found.records.len()).sum();
        server
            .counters
            .bytes_fetched
            .fetch_add(bytes as u64, Relaxed);
        let mut frame = request.frame(&respond(&ask, &wanted, found));
        frame.memory = memory;
        frame
    })
}

fn resolve(server: &Server, ask: &FetchRequest) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in &ask.topics {
        for part in &topic.partitions {
            wanted.push(Wanted {
                partition: part.partition,
                log: server.topics.partition(&topic.topic, part.partition),
                offset: part.fetch_offset,
                max_bytes: usize::try_from(part.partition_max_bytes).unwrap_or(0),
                leader_epoch: part.current_leader_epoch,
            });
        }
    }
    wanted
}

/// Looks until there is enough, something is wrong, or time is up.
async fn wait(
    server: &Server,
    ask: &FetchRequest,
    wanted: &[Wanted],
) -> (Vec<Found>, Option<OwnedSemaphorePermit>) {
    let patience =
        Duration::from_millis(u64::try_from(ask.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
    let until = Instant::now() + patience;
    let least = usize::try_from(ask.min_bytes).unwrap_or(0);
    let most = usize::try_from(ask.max_bytes)
        .unwrap_or(0)
        .min(server.config.limits.fetch_bytes)
        .min(server.config.limits.fetch_memory_bytes / SHARE);
    let mut watches: Vec<watch::Receiver<i64>> = Vec::new();
    loop {
        // Watched before it is looked at, so that nothing comes in between unseen.
        for watch in &mut watches {
            watch.borrow_and_update();
        }
        let mut found: Vec<_> = wanted.iter().map(locate).collect();
        let memory = reserve(server, wanted, &found, most).await;
        found = read(wanted, found, most).await;
        let bytes: usize = found.iter().map(|found| found.records.len()).sum();
        let failed = found.iter().any(|found| found.error.is_some());
        if bytes >= least || failed || Instant::now() >= until {
            return (found, keep(memory, bytes));
        }
        drop(memory);
        if watches.is_empty() {
            // The second look is the one that counts.
            watches = wanted
                .iter()
                .filter_map(|wanted| Some(wanted.log.as_ref()?.watch()))
                .collect();
            if !watches.is_empty() {
                continue;
            }
        }
        let _ = timeout_at(until, any_change(&mut watches)).await;
    }
}

async fn any_change(watches: &mut [watch::Receiver<i64>]) {
    let mut changes: Vec<_> = watches
        .iter_mut()
        .map(|watch| Box::pin(watch.changed()))
        .collect();
    poll_fn(|context| {
        let changed = changes
            .iter_mut()
            .any(|change| change.as_mut().poll(context).is_ready());
        if changed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn locate(wanted: &Wanted) -> Found {
    let nothing = |error: Option<ResponseError>| Found {
        error,
        high_watermark: -1,
        start_offset: -1,
        place: None,
        records: Bytes::new(),
    };
    let Some(log) = wanted.log.as_ref().filter(|log| !log.is_deleted()) else {
        return nothing(Some(ResponseError::UnknownTopicOrPartition));
    };
    if wanted.leader_epoch > LEADER_EPOCH {
        return nothing(Some(ResponseError::UnknownLeaderEpoch));
    }
    let log = log.log();
    let (place, error) = match log.locate(wanted.offset) {
        Ok(place) => (place, None),
        Err(_) => (None, Some(ResponseError::OffsetOutOfRange)),
    };
    let (high_watermark, start_offset) = (log.synced().offset, log.start_offset());
    Found {
        error,
        high_watermark,
        start_offset,
        place,
        records: Bytes::new(),
    }
}

/// Waits for memory to read into.
async fn reserve(
    server: &Server,
    wanted: &[Wanted],
    found: &[Found],
    most: usize,
) -> Option<OwnedSemaphorePermit> {
    let with_data = wanted
        .iter()
        .zip(found)
        .filter(|(_, found)| found.place.is_some());
    let size: usize = with_data
        .map(|(wanted, _)| wanted.max_bytes.min(most))
        .sum();
    let size = size.min(most).min(server.config.limits.fetch_memory_bytes);
    if size == 0 {
        return None;
    }
    server
        .fetch_memory
        .clone()
        .acquire_many_owned(size as u32)
        .await
        .ok()
}

/// Gives back what was reserved and not needed.
fn keep(memory: Option<OwnedSemaphorePermit>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let mut memory = memory?;
    let kept = memory.num_permits().min(bytes);
    memory.split(kept)
}

async fn read(wanted: &[Wanted], found: Vec<Found>, most: usize) -> Vec<Found> {
    if found
        .iter()
        .all(|found| found.place.as_ref().is_none_or(Place::is_recent))
    {
        return read_now(wanted, found, most);
    }
    let wanted = wanted.to_vec();
    blocking(move || read_now(&wanted, found, most)).await
}

/// The first batch that is found is given even if it is larger than was asked for, so that a
/// consumer gets on.
fn read_now(wanted: &[Wanted], mut found: Vec<Found>, most: usize) -> Vec<Found> {
    let mut left = most;
    let mut is_first = true;
    for (wanted, found) in wanted.iter().zip(&mut found) {
        let Some(place) = found.place.take() else {
            continue;
        };
        if left == 0 && !is_first {
            break;
        }
        match place.read(wanted.offset, wanted.max_bytes.min(left), is_first) {
            Ok(records) => {
                left = left.saturating_sub(records.len());
                is_first &= records.is_empty();
                found.records = records;
            }
            Err(error) => {
                tracing::error!(%error, partition = wanted.partition, offset = wanted.offset, "records could not be read");
                found.error = Some(ResponseError::KafkaStorageError);
            }
        }
    }
    found
}

fn respond(ask: &FetchRequest, wanted: &[Wanted], found: Vec<Found>) -> FetchResponse {
    let mut parts = wanted.iter().zip(found);
    let mut responses = Vec::with_capacity(ask.topics.len());
    for topic in &ask.topics {
        let partitions = parts
            .by_ref()
            .take(topic.partitions.len())
            .map(part)
            .collect();
        let name: TopicName = topic.topic.clone();
        responses.push(
            FetchableTopicResponse::default()
                .with_topic(name)
                .with_partitions(partitions),
        );
    }
    FetchResponse::default().with_responses(responses)
}

fn part((wanted, found): (&Wanted, Found)) -> PartitionData {
    PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_error_code(found.error.map_or(0, |error| error.code()))
        .with_high_watermark(found.high_watermark)
        // Without transactions, all that is synced is stable.
        .with_last_stable_offset(found.high_watermark)
        .with_log_start_offset(found.start_offset)
        .with_aborted_transactions(None)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(found.records))
}
