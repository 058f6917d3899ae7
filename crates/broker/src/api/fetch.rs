//! Fetch: what is synced, at once if there is enough of it, else when there is or time is up.
//!
//! Fetch sessions are answered without a session, which makes clients send whole requests.

mod layout;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use kafka_protocol::protocol::HeaderVersion;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::error_codes::{ErrorCodes, of_failed_read};
use super::{Request, blocking};
use crate::batch::LEADER_EPOCH;
use crate::log::{Part, Place, ReadError};
use crate::partition::Partition;
use crate::server::{Answer, Frame, Server};

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
    records: Option<Part>,
}

impl Found {
    /// What is sound before any damage is given, so that a reader stops right there.
    fn fail(&mut self, wanted: &Wanted, error: &ReadError) {
        if let Some(log) = &wanted.log {
            log.log_failed_read(error);
        }
        match (error, &mut self.records) {
            (ReadError::Damaged { sound, .. }, Some(records)) if *sound > 0 => records.cut(*sound),
            _ => {
                self.error = Some(of_failed_read(error));
                self.records = None;
            }
        }
    }
}

pub(super) fn fetch(server: Arc<Server>, request: Request, ask: FetchRequest) -> Answer {
    Box::pin(async move {
        // An incremental request of a session that was never begun.
        if ask.session_id != 0 {
            let error = ResponseError::FetchSessionIdNotFound.code();
            return request.frame(&FetchResponse::default().with_error_code(error));
        }
        let wanted = resolve(&server, &ask);
        let mut found = wait(&server, &ask, &wanted).await;
        let memory = reserve(&server, size(&found)).await;
        let (answer, mut frame) = loop {
            let answer = respond(&ask, &wanted, &found);
            // If some could not be read, the answer says so, and is another.
            if let Some(frame) = load(&request, &wanted, &answer, &mut found).await {
                break (answer, frame);
            }
        };
        let counters = &server.counters;
        counters
            .bytes_fetched
            .fetch_add(size(&found) as u64, Relaxed);
        counters.count_errors(answer.error_codes());
        request.count();
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
async fn wait(server: &Server, ask: &FetchRequest, wanted: &[Wanted]) -> Vec<Found> {
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
        let found = find(wanted, most).await;
        let failed = found.iter().any(|found| found.error.is_some());
        if size(&found) >= least || failed || Instant::now() >= until {
            return found;
        }
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

/// Of the records that were found, in bytes.
fn size(found: &[Found]) -> usize {
    let records = found.iter().filter_map(|found| found.records.as_ref());
    records.map(Part::size).sum()
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

async fn find(wanted: &[Wanted], most: usize) -> Vec<Found> {
    let found: Vec<_> = wanted.iter().map(locate).collect();
    if found.iter().all(is_recent) {
        return find_now(wanted, found, most);
    }
    let wanted = wanted.to_vec();
    blocking(move || find_now(&wanted, found, most)).await
}

fn is_recent(found: &Found) -> bool {
    found.place.as_ref().is_none_or(Place::is_recent)
}

fn locate(wanted: &Wanted) -> Found {
    let nothing = |error: Option<ResponseError>| Found {
        error,
        high_watermark: -1,
        start_offset: -1,
        place: None,
        records: None,
    };
    let Some(log) = wanted.log.as_ref().filter(|log| !log.is_deleted()) else {
        return nothing(Some(ResponseError::UnknownTopicOrPartition));
    };
    if wanted.leader_epoch > LEADER_EPOCH {
        return nothing(Some(ResponseError::UnknownLeaderEpoch));
    }
    let log = log.log();
    let (place, error) = match log.locate(wanted.offset, wanted.max_bytes) {
        Ok(place) => (place, None),
        Err(_) => (None, Some(ResponseError::OffsetOutOfRange)),
    };
    let (high_watermark, start_offset) = (log.synced().offset, log.start_offset());
    Found {
        error,
        high_watermark,
        start_offset,
        place,
        records: None,
    }
}

/// The first batch that is found is given even if it is larger than was asked for, so that a
/// consumer gets on.
fn find_now(wanted: &[Wanted], mut found: Vec<Found>, most: usize) -> Vec<Found> {
    let mut left = most;
    let mut is_first = true;
    for (wanted, found) in wanted.iter().zip(&mut found) {
        let Some(place) = &found.place else {
            continue;
        };
        if left == 0 && !is_first {
            break;
        }
        match place.find(wanted.offset, wanted.max_bytes.min(left), is_first) {
            Ok(None) => {}
            Ok(Some(part)) => {
                left = left.saturating_sub(part.size());
                is_first = false;
                found.records = Some(part);
            }
            Err(error) => found.fail(wanted, &error),
        }
    }
    found
}

/// Waits for memory to read all into; one batch may be larger than all there is, and gets that.
async fn reserve(server: &Server, size: usize) -> Option<OwnedSemaphorePermit> {
    let size = size.min(server.config.limits.fetch_memory_bytes);
    if size == 0 {
        return None;
    }
    let memory = server.fetch_memory.clone();
    memory.acquire_many_owned(size as u32).await.ok()
}

/// The answer with its records; `None` if some of them could not be read, which is noted.
async fn load(
    request: &Request,
    wanted: &[Wanted],
    answer: &FetchResponse,
    found: &mut [Found],
) -> Option<Frame> {
    let version = request.version;
    let sizes = found
        .iter()
        .map(|found| found.records.as_ref().map_or(0, Part::size));
    let sizes: Vec<_> = sizes.collect();
    let mut gaps = Vec::new();
    let mut frame = request.frame_of(FetchResponse::header_version(version), |bytes| {
        gaps = layout::encode(bytes, answer.clone(), &sizes, version)?;
        Ok(())
    });
    let parts: Vec<_> = found.iter().map(|found| found.records.clone()).collect();
    let mut bytes = mem::take(&mut frame.bytes);
    let fill = move || {
        let mut failed = Vec::new();
        for (number, (gap, part)) in gaps.into_iter().zip(parts).enumerate() {
            if let Some(Err(error)) = part.map(|part| part.read(&mut bytes[gap])) {
                failed.push((number, error));
            }
        }
        (bytes, failed)
    };
    let (bytes, failed) = match found.iter().all(is_recent) {
        true => fill(),
        false => blocking(fill).await,
    };
    for (number, error) in &failed {
        found[*number].fail(&wanted[*number], error);
    }
    frame.bytes = bytes;
    failed.is_empty().then_some(frame)
}

/// The answer without the records.
fn respond(ask: &FetchRequest, wanted: &[Wanted], found: &[Found]) -> FetchResponse {
    let mut partitions = wanted
        .iter()
        .zip(found)
        .map(|(wanted, found)| part(wanted.partition, found));
    let mut responses = Vec::with_capacity(ask.topics.len());
    for topic in &ask.topics {
        let partitions = partitions.by_ref().take(topic.partitions.len()).collect();
        responses.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions),
        );
    }
    FetchResponse::default().with_responses(responses)
}

fn part(number: i32, found: &Found) -> PartitionData {
    PartitionData::default()
        .with_partition_index(number)
        .with_error_code(found.error.map_or(0, |error| error.code()))
        .with_high_watermark(found.high_watermark)
        // Without transactions, all that is synced is stable.
        .with_last_stable_offset(found.high_watermark)
        .with_log_start_offset(found.start_offset)
        .with_aborted_transactions(None)
        .with_preferred_read_replica(BrokerId(-1))
}
