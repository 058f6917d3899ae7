//! Reading partitions from offsets that their owners name.
//!
//! A [`Fetcher`] is a librdkafka consumer that never joins a group. Partitions are
//! added to it and taken from it one by one, each with a queue of its own, so a
//! slow reader holds up nobody. Starting, stopping and seeking are the same two
//! steps, taken by librdkafka in order: take the partition out, put it in at an
//! offset. The first makes everything stale that was fetched before; the second
//! comes with a new queue, always.
//!
//! For a queue is not a partition's but that of librdkafka's entry for it, and an
//! entry lives as long as the partition is put in or the log is known to have it.
//! A partition that is taken out while the topic is unknown, as it is to a new
//! client until the brokers have answered, has another entry when it is put in
//! again, and nothing ever comes to the old one's queue.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use compline_event::{Offset, Partition, RecordId, Topic};
use futures_util::{FutureExt as _, StreamExt as _};
use metrics::Counter;
use rdkafka::{
    Message as _, TopicPartitionList,
    consumer::{Consumer as _, stream_consumer::StreamPartitionQueue},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use tokio::sync::Notify;

use crate::{Bounds, LogError, ReadError, Record, client::Client, context::Quiet, metric};

pub(crate) struct Fetcher {
    client: Client,
    open: Mutex<HashMap<(Topic, Partition), Arc<Place>>>,
}

/// A damaged batch is fetched so many times more: what was damaged on its way comes
/// sound then, what is damaged on the disk does not.
const FETCHED_AGAIN: u32 = 3;

/// A partition that is being read.
struct Place {
    topic: Topic,
    partition: Partition,
    taken: AtomicBool,
    woken: Notify,
}

impl Fetcher {
    pub(crate) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            client,
            open: Mutex::default(),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn open(
        self: &Arc<Self>,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<PartitionReader, LogError> {
        let place = Arc::new(Place {
            topic,
            partition,
            taken: AtomicBool::new(false),
            woken: Notify::new(),
        });
        let mut open = self.places();
        if open.contains_key(&(topic, partition)) {
            return Err(LogError::AlreadyReading { topic, partition });
        }
        let queue = self.put_in(topic, partition, from)?;
        open.insert((topic, partition), Arc::clone(&place));
        Ok(PartitionReader {
            queue: Some(queue),
            place,
            next: from,
            failed: None,
            damaged: 0,
            at_end: false,
            read: metrics::counter!(metric::READ, "topic" => topic.as_str()),
            fetcher: Arc::clone(self),
        })
    }

    /// Ends the reading of a partition; its reader says so from now on. It keeps
    /// the place until it is dropped, for it holds the partition's queue.
    pub(crate) fn take_away(&self, topic: Topic, partition: Partition) {
        let open = self.places();
        let Some(place) = open.get(&(topic, partition)) else {
            return;
        };
        if place.taken.swap(true, Ordering::AcqRel) {
            return;
        }
        place.woken.notify_one();
        if let Err(error) = self.take_out(topic, partition) {
            tracing::warn!(%topic, %partition, %error, "could not stop reading a partition");
        }
    }

    fn close(&self, place: &Place) {
        self.take_away(place.topic, place.partition);
        self.places().remove(&(place.topic, place.partition));
    }

    /// Gives the queue that the records come to. The last one's must be gone: dropped
    /// later, it would silence this one, if librdkafka still has the same entry.
    fn put_in(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<StreamPartitionQueue<Quiet>, LogError> {
        let name = self.client.names.of(topic);
        // The queue first: what is fetched before it is split off would go
        // elsewhere. From here on the entry stays, for it is wanted.
        let queue = self
            .client
            .consumer()
            .split_partition_queue(name, partition.0)
            .ok_or(LogError::NoPartition { topic, partition })?;
        // Records of before are stale, but the word that an offset is not there never is
        // (`rd_kafka_offset_reset` gives it no version): it would be taken for this one's.
        while let Some(Some(_)) = queue.stream().next().now_or_never() {}
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(name, partition.0, rdkafka::Offset::Offset(from.0))
            .and_then(|()| self.client.consumer().incremental_assign(&list))
            .map_err(|error| LogError::of("starting to read a partition", error))?;
        Ok(queue)
    }

    fn take_out(&self, topic: Topic, partition: Partition) -> Result<(), LogError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(self.client.names.of(topic), partition.0);
        self.client
            .consumer()
            .incremental_unassign(&list)
            .map_err(|error| LogError::of("stopping to read a partition", error))
    }

    fn places(&self) -> MutexGuard<'_, HashMap<(Topic, Partition), Arc<Place>>> {
        self.open.lock().expect("nobody panics while holding it")
    }
}

/// Reads one partition from an offset on, in order.
pub struct PartitionReader {
    /// Missing where a seek failed half-way, until the next batch is asked for.
    queue: Option<StreamPartitionQueue<Quiet>>,
    place: Arc<Place>,
    /// The next batch starts here.
    next: Offset,
    /// What came behind the records of the last batch.
    failed: Option<KafkaError>,
    /// How often what stands at `next` came damaged.
    damaged: u32,
    /// Whether the log had no more when last asked; only told to replays.
    at_end: bool,
    read: Counter,
    fetcher: Arc<Fetcher>,
}

impl PartitionReader {
    pub fn topic(&self) -> Topic {
        self.place.topic
    }

    pub fn partition(&self) -> Partition {
        self.place.partition
    }

    /// Where the next batch starts.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// Waits for a record, then takes what is there without waiting: at least one
    /// record, at most `max_records`, and no more once `max_bytes` of keys and
    /// values are reached. Cancelled, it has taken nothing.
    ///
    /// # Errors
    /// After [`ReadError::Transient`] the next call goes on at the same place;
    /// after the others there is nothing more to read.
    pub async fn next_batch(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, ReadError> {
        loop {
            if let Some(batch) = self.take_batch(max_records, max_bytes).await? {
                return Ok(batch);
            }
        }
    }

    /// As [`PartitionReader::next_batch`]; `None` at the log's end, if this reader
    /// is told of it.
    pub(crate) async fn take_batch(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Option<Vec<Record>>, ReadError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        if self.queue.is_none() {
            self.seek(self.next)?;
        }
        if let (Some(queue), None) = (&self.queue, &self.failed) {
            let mut stream = queue.stream();
            let place = &self.place;
            let mut first = true;
            while batch.len() < max_records.max(1) && (bytes < max_bytes || batch.is_empty()) {
                if place.taken.load(Ordering::Acquire) {
                    return Err(self.revoked());
                }
                let message = if first {
                    tokio::select! {
                        biased;
                        () = place.woken.notified() => continue,
                        message = stream.next() => message,
                    }
                } else {
                    match stream.next().now_or_never() {
                        Some(message) => message,
                        None => break,
                    }
                };
                match message {
                    Some(Ok(message)) if Offset(message.offset()) < self.next => {}
                    // From a place that librdkafka made up, see below.
                    Some(Ok(message))
                        if self.damaged > 0 && message.offset() > self.next.0 && first =>
                    {
                        self.failed = Some(KafkaError::MessageConsumption(Code::BadMessage));
                        break;
                    }
                    Some(Ok(message)) => {
                        let record = Record::copy(place.topic, &message);
                        bytes += record.size();
                        self.next = record.at.offset.next();
                        self.at_end = false;
                        batch.push(record);
                        first = false;
                    }
                    Some(Err(error)) => {
                        self.failed = Some(error);
                        break;
                    }
                    None => break,
                }
            }
        }
        if !batch.is_empty() {
            self.damaged = 0;
            self.read.increment(batch.len() as u64);
            return Ok(Some(batch));
        }
        let Some(error) = self.failed.clone() else {
            return Ok(None);
        };
        if let Some(reason) = damage(&error, self.damaged > 0) {
            return self.fetch_again(reason);
        }
        if let KafkaError::PartitionEOF(_) = error {
            self.at_end = true;
            self.failed = None;
            return Ok(None);
        }
        // Remembered until then: who is cancelled here asks again.
        let explained = self.explain(&error).await;
        self.failed = None;
        Err(explained)
    }

    /// What was fetched behind a damaged batch is thrown away with it.
    fn fetch_again(&mut self, reason: &'static str) -> Result<Option<Vec<Record>>, ReadError> {
        let (topic, partition, offset) = (self.place.topic, self.place.partition, self.next);
        if self.damaged == FETCHED_AGAIN {
            return Err(ReadError::Damaged {
                at: RecordId {
                    topic,
                    partition,
                    offset,
                },
                reason,
            });
        }
        let damaged = self.damaged + 1;
        tracing::warn!(%topic, %partition, %offset, reason, "a batch came damaged, fetching it again");
        self.seek(offset)?;
        self.damaged = damaged;
        Ok(None)
    }

    pub(crate) async fn bounds(&self) -> Result<Bounds, LogError> {
        let (topic, partition) = (self.place.topic, self.place.partition);
        self.fetcher.client.bounds(topic, partition).await
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Goes on at `to`, forwards or back: the next batch starts exactly there.
    pub fn seek(&mut self, to: Offset) -> Result<(), ReadError> {
        let (topic, partition) = (self.place.topic, self.place.partition);
        // Under the lock, so that the partition is not taken away in between.
        let open = self.fetcher.places();
        if self.place.taken.load(Ordering::Acquire) {
            drop(open);
            return Err(self.revoked());
        }
        self.failed = None;
        self.damaged = 0;
        self.next = to;
        let out = match self.queue.take() {
            Some(_) => self.fetcher.take_out(topic, partition),
            None => Ok(()),
        };
        let queue = out.and_then(|()| self.fetcher.put_in(topic, partition, to));
        drop(open);
        self.queue = Some(queue.map_err(|error| self.transient(error.to_string()))?);
        Ok(())
    }

    async fn explain(&mut self, error: &KafkaError) -> ReadError {
        let (topic, partition, at) = (self.place.topic, self.place.partition, self.next);
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {}
            _ => return self.transient(error.to_string()),
        }
        // librdkafka has stopped fetching. Say why, by what the log holds now.
        match self.bounds().await {
            Ok(bounds) if at < bounds.start || at > bounds.end => ReadError::OutOfRange {
                at: RecordId {
                    topic,
                    partition,
                    offset: at,
                },
                bounds,
            },
            Ok(_) | Err(_) => {
                // The place is there after all, or nobody knows: ask again.
                let reason = error.to_string();
                tokio::time::sleep(Duration::from_millis(100)).await;
                match self.seek(at) {
                    Ok(()) => self.transient(reason),
                    Err(error) => error,
                }
            }
        }
    }

    fn transient(&self, reason: String) -> ReadError {
        ReadError::Transient {
            topic: self.place.topic,
            partition: self.place.partition,
            offset: self.next,
            reason,
        }
    }

    fn revoked(&self) -> ReadError {
        ReadError::Revoked {
            topic: self.place.topic,
            partition: self.place.partition,
        }
    }
}

/// What is wrong with a batch, where something is: by what librdkafka found, or a broker
/// that looked itself. `known` says that the batch came damaged before.
fn damage(error: &KafkaError, known: bool) -> Option<&'static str> {
    match error.rdkafka_error_code()? {
        Code::BadMessage => Some("a batch does not have its checksum"),
        // Behind such a batch librdkafka 2.12 goes on at a place that it makes up
        // (`rd_kafka_buf_skip_to`), and is told that no such offset is there.
        Code::AutoOffsetReset if known => Some("a batch does not have its checksum"),
        Code::BadCompression => Some("a batch cannot be unpacked"),
        Code::NotImplemented => Some("a batch has a format or a codec that is unknown"),
        Code::MessageSizeTooLarge => Some("a batch has a length that none may have"),
        Code::InvalidMessage | Code::InvalidMessageSize => {
            Some("the broker says that it is corrupt")
        }
        _ => None,
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        // The queue first, see `Fetcher::put_in`.
        self.queue = None;
        self.fetcher.close(&self.place);
    }
}

impl fmt::Debug for PartitionReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionReader")
            .field("topic", &self.place.topic)
            .field("partition", &self.place.partition)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}
