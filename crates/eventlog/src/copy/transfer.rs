//! Appending a partition's records in order, each to its offset.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use compline_event::Offset;
use rdkafka::{
    Message as _,
    error::KafkaError,
    message::OwnedHeaders,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
    types::RDKafkaErrorCode as Code,
};

use super::{Copier, CopyError, Place, Side, raw};
use crate::{Log, LogError, aside::Aside, context::Quiet};

/// Of one partition, sent and not acknowledged yet.
const MOST_BYTES: usize = 8 << 20;
const MOST_RECORDS: usize = 20_000;

/// A disk that flips a bit costs the whole batch, so batches are not as large as topics
/// take them. Every topic takes this.
const BATCH_BYTES: &str = "131072";

pub(super) enum Kind {
    Records,
    /// Tiny, alike and many.
    Placeholders,
}

/// An idempotent producer that never gives a record up for the next one.
pub(super) struct Producer {
    inner: Aside<FutureProducer<Quiet>>,
    target: Log,
}

impl Producer {
    pub(super) fn new(to: &Log, kind: Kind) -> Result<Self, CopyError> {
        let mut settings = to.config().client();
        settings
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            .set("batch.size", BATCH_BYTES)
            .set("queue.buffering.max.kbytes", "262144")
            .set("queue.buffering.max.messages", "1000000");
        if matches!(kind, Kind::Placeholders) {
            settings.set("compression.type", "lz4");
            settings.set("batch.num.messages", "100000");
        }
        let made = settings.create_with_context(Quiet);
        let inner = made.map_err(|error| CopyError::Log {
            side: Side::Target,
            source: LogError::of("making an appender", error),
        })?;
        Ok(Self {
            inner: Aside::new(inner),
            target: to.clone(),
        })
    }
}

/// One record as it is sent; what is not there stays away.
#[derive(Default)]
pub(super) struct Sent<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) timestamp: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
}

/// The records of one partition on their way.
pub(super) struct Flow<'a> {
    producer: &'a Producer,
    place: Place,
    /// The offset that the next record must get.
    next: i64,
    waiting: VecDeque<(i64, usize, DeliveryFuture)>,
    waiting_bytes: usize,
}

impl<'a> Flow<'a> {
    pub(super) fn new(producer: &'a Producer, place: Place, next: Offset) -> Self {
        Self {
            producer,
            place,
            next: next.0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Sends one record; waits only where too much is on its way. Gives how many
    /// were acknowledged meanwhile.
    pub(super) async fn send(&mut self, sent: Sent<'_>) -> Result<u64, CopyError> {
        let size = sent.key.map_or(0, <[u8]>::len) + sent.value.map_or(0, <[u8]>::len);
        let mut acknowledged = 0;
        while self.waiting.len() >= MOST_RECORDS
            || (self.waiting_bytes + size > MOST_BYTES && !self.waiting.is_empty())
        {
            acknowledged += self.acknowledge().await?;
        }
        let mut record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(self.producer.target.names().of(self.place.topic))
                .partition(self.place.partition.0);
        record.key = sent.key;
        record.payload = sent.value;
        record.timestamp = sent.timestamp;
        record.headers = sent.headers;
        loop {
            let producer = &self.producer.inner;
            match producer.send_result(record) {
                Ok(delivery) => {
                    self.waiting.push_back((self.next, size, delivery));
                    self.waiting_bytes += size;
                    self.next += 1;
                    return Ok(acknowledged);
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), again)) => {
                    record = again;
                    match self.waiting.is_empty() {
                        // The other partitions fill the queue.
                        true => tokio::time::sleep(Duration::from_millis(1)).await,
                        false => acknowledged += self.acknowledge().await?,
                    }
                }
                Err((source, _)) => return Err(self.refused(self.next, source)),
            }
        }
    }

    /// Waits for all that is on its way.
    pub(super) async fn finish(mut self) -> Result<u64, CopyError> {
        let mut acknowledged = 0;
        while !self.waiting.is_empty() {
            acknowledged += self.acknowledge().await?;
        }
        Ok(acknowledged)
    }

    /// Waits for the oldest record's answer.
    async fn acknowledge(&mut self) -> Result<u64, CopyError> {
        let Some((expected, size, delivery)) = self.waiting.pop_front() else {
            return Ok(0);
        };
        self.waiting_bytes -= size;
        let (place, offset) = (self.place, expected);
        let Ok(answer) = tokio::time::timeout(raw::PATIENCE, delivery).await else {
            return Err(CopyError::Silent {
                side: Side::Target,
                place,
                offset,
                seconds: raw::PATIENCE.as_secs(),
            });
        };
        match answer {
            Ok(Ok(delivered)) if delivered.offset == expected => Ok(1),
            Ok(Ok(delivered)) => Err(CopyError::Moved {
                place,
                expected,
                found: delivered.offset,
            }),
            Ok(Err((source, _))) => Err(self.refused(offset, source)),
            Err(_) => Err(self.refused(offset, KafkaError::Canceled)),
        }
    }

    fn refused(&self, offset: i64, source: KafkaError) -> CopyError {
        CopyError::Append {
            place: self.place,
            offset,
            source,
        }
    }
}

/// Copies the source's records from one offset up to another.
pub(super) async fn records(
    copier: &Copier,
    producer: &Producer,
    place: Place,
    from: Offset,
    to: Offset,
) -> Result<(), CopyError> {
    if from >= to {
        return Ok(());
    }
    let progress = &copier.progress;
    let mut reader = raw::RawReader::open(&copier.from, Side::Source, place, from, to)?;
    let mut flow = Flow::new(producer, place, from);
    while let Some(message) = reader.next().await? {
        let sent = Sent {
            key: message.key(),
            value: message.payload(),
            timestamp: message.timestamp().to_millis(),
            headers: message.headers().map(|headers| headers.detach()),
        };
        let size = sent.key.map_or(0, <[u8]>::len) + sent.value.map_or(0, <[u8]>::len);
        let acknowledged = flow.send(sent).await?;
        progress.bytes.fetch_add(size as u64, Ordering::Relaxed);
        progress.records.fetch_add(acknowledged, Ordering::Relaxed);
    }
    let acknowledged = flow.finish().await?;
    progress.records.fetch_add(acknowledged, Ordering::Relaxed);
    Ok(())
}
