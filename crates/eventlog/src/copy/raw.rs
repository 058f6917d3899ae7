//! Reading a partition's records as they are: no key or value is one thing, an empty
//! one another.

use std::time::Duration;

use compline_event::Offset;
use rdkafka::{
    Message as _, Timestamp, TopicPartitionList,
    consumer::Consumer as _,
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode as Code,
};

use super::{CopyError, Place, Side};
use crate::{Log, LogError, consumer::Consumer, context::Quiet};

/// A log that is silent for so long while it has records to give is away.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Reads one partition from an offset up to another, without holes.
pub(super) struct RawReader {
    consumer: Consumer<Quiet>,
    side: Side,
    place: Place,
    next: i64,
    end: i64,
}

impl RawReader {
    pub(super) fn open(
        log: &Log,
        side: Side,
        place: Place,
        from: Offset,
        to: Offset,
    ) -> Result<Self, CopyError> {
        let open = || {
            let mut settings = log.config().reader(&format!("{}copy", log.config().prefix));
            settings
                .set("enable.partition.eof", "true")
                .set("fetch.wait.max.ms", "50")
                .set("max.partition.fetch.bytes", "4194304")
                .set("queued.max.messages.kbytes", "8192")
                .set("queued.min.messages", "20000")
                .set("fetch.queue.backoff.ms", "1");
            let (consumer, _) = Consumer::new(&settings, Quiet)?;
            let mut list = TopicPartitionList::with_capacity(1);
            let (name, from) = (log.names().of(place.topic), rdkafka::Offset::Offset(from.0));
            list.add_partition_offset(name, place.partition.0, from)?;
            consumer.assign(&list)?;
            Ok(consumer)
        };
        let consumer = open().map_err(|error| CopyError::Log {
            side,
            source: LogError::of("making a reader", error),
        })?;
        Ok(Self {
            consumer,
            side,
            place,
            next: from.0,
            end: to.0,
        })
    }

    /// The next record; `None` when all have been read.
    pub(super) async fn next(&mut self) -> Result<Option<BorrowedMessage<'_>>, CopyError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let (side, place, offset) = (self.side, self.place, self.next);
        let consumer = &self.consumer;
        loop {
            let received = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            let Ok(received) = received else {
                return Err(CopyError::Silent {
                    side,
                    place,
                    offset,
                    seconds: PATIENCE.as_secs(),
                });
            };
            match received {
                Ok(message) if message.offset() == offset => {
                    self.next += 1;
                    return Ok(Some(message));
                }
                Ok(_) | Err(KafkaError::PartitionEOF(_)) => {
                    return Err(CopyError::Hole {
                        side,
                        place,
                        offset,
                    });
                }
                Err(source) if is_final(&source) => {
                    return Err(CopyError::Read {
                        side,
                        place,
                        offset,
                        source,
                    });
                }
                // librdkafka goes on by itself.
                Err(error) => tracing::debug!(%error, %place, "the copy's reader reports"),
            }
        }
    }
}

fn is_final(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_none_or(|code| {
        matches!(
            code,
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::LogTruncation
                | Code::Fatal
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::TopicAuthorizationFailed
                | Code::BadMessage
                | Code::InvalidMessage
        )
    })
}

/// Everything of a record that a copy must keep, one way for each: lengths stand
/// before what they count, and -1 is for what is not there.
pub(super) fn write(message: &BorrowedMessage<'_>, into: &mut Vec<u8>) {
    into.clear();
    into.extend(message.offset().to_be_bytes());
    let (kind, time) = match message.timestamp() {
        Timestamp::NotAvailable => (0, 0),
        Timestamp::CreateTime(time) => (1, time),
        Timestamp::LogAppendTime(time) => (2, time),
    };
    into.push(kind);
    into.extend(time.to_be_bytes());
    put(into, message.key());
    put(into, message.payload());
    let Some(headers) = message.headers() else {
        return;
    };
    for header in headers.iter() {
        put(into, Some(header.key.as_bytes()));
        put(into, header.value);
    }
}

fn put(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    into.extend(length.to_be_bytes());
    into.extend(bytes.unwrap_or_default());
}
