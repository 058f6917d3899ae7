//! Writing to the log.
//!
//! `enqueue` hands a record over in the order of the calls and waits only when
//! the queue is full; the [`Delivery`] it gives is the log's answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use compline_event::{Envelope, Partition, RecordId, Topic, partition::partition_of};
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{BaseRecord, Producer as _, ThreadedProducer},
    types::RDKafkaErrorCode as Code,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::{Span, field};

use crate::{
    AppendError, LogConfig, LogError, TopicSpec,
    append::outcome::{Outcome, Pending},
    aside::Aside,
    client::Names,
    header::Label,
};

mod outcome;

/// How records are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppenderConfig {
    /// How long a record may wait for its acknowledgement before its append is
    /// given up, ≥ 1 ms. `None` waits for ever and never skips a record: after a
    /// time-out librdkafka goes on with the next one, which tears a hole into a
    /// numbered stream.
    pub delivery_timeout: Option<Duration>,
    /// How long a record may wait for company, so that they share a batch.
    pub linger: Duration,
    /// The most that may wait for acknowledgement, bytes of keys and values.
    pub max_queued_bytes: usize,
    /// The most that may wait for acknowledgement, records.
    pub max_queued_records: usize,
}

impl AppenderConfig {
    /// For those who answer someone: a time-out of 5 s, no linger.
    pub fn with_timeout() -> Self {
        Self {
            delivery_timeout: Some(Duration::from_secs(5)),
            linger: Duration::ZERO,
            max_queued_bytes: 64 << 20,
            max_queued_records: 100_000,
        }
    }

    /// For relays: no time-out, and no record is ever skipped.
    pub fn without_timeout() -> Self {
        Self {
            delivery_timeout: None,
            ..Self::with_timeout()
        }
    }
}

impl Default for AppenderConfig {
    fn default() -> Self {
        Self::with_timeout()
    }
}

/// Appends to any topic. Cloning it gives another handle on the same queue.
#[derive(Clone)]
pub struct Appender(Arc<Inner>);

struct Inner {
    names: Names,
    producer: Aside<ThreadedProducer<Outcome>>,
    config: AppenderConfig,
    bytes: Arc<Semaphore>,
    records: Arc<Semaphore>,
}

impl Appender {
    pub(crate) fn new(
        log: &LogConfig,
        names: Names,
        config: AppenderConfig,
    ) -> Result<Self, LogError> {
        config.check()?;
        let producer = librdkafka_config(log, &config)
            .create_with_context(Outcome::default())
            .map_err(|error| LogError::of("making an appender", error))?;
        Ok(Self(Arc::new(Inner {
            names,
            producer: Aside::new(producer),
            bytes: Arc::new(Semaphore::new(config.max_queued_bytes)),
            records: Arc::new(Semaphore::new(config.max_queued_records)),
            config,
        })))
    }

    /// Appends one event and waits until the log has it on disk.
    ///
    /// Without a `partition`, the key decides; see [`partition_of`].
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] is not a "no": the record may still appear.
    pub async fn append(
        &self,
        topic: Topic,
        partition: Option<Partition>,
        key: Bytes,
        envelope: &Envelope,
    ) -> Result<RecordId, AppendError> {
        self.enqueue(topic, partition, key, envelope).await?.await
    }

    /// Hands one event over. The records of one partition stand in the log in
    /// the order in which these calls were made.
    pub async fn enqueue(
        &self,
        topic: Topic,
        partition: Option<Partition>,
        key: Bytes,
        envelope: &Envelope,
    ) -> Result<Delivery, AppendError> {
        let label = Label::of(envelope);
        self.hand_over(topic, partition, key, envelope.encode(), &label)
            .await
    }

    /// As [`Appender::enqueue`], for an envelope that was encoded before: the
    /// very same bytes are appended.
    pub async fn enqueue_encoded(
        &self,
        topic: Topic,
        partition: Option<Partition>,
        key: Bytes,
        envelope: Bytes,
    ) -> Result<Delivery, AppendError> {
        let label = Label::of_encoded(envelope.clone())
            .map_err(|error| AppendError::not_an_envelope(&error))?;
        self.hand_over(topic, partition, key, envelope, &label)
            .await
    }

    async fn hand_over(
        &self,
        topic: Topic,
        partition: Option<Partition>,
        key: Bytes,
        value: Bytes,
        label: &Label,
    ) -> Result<Delivery, AppendError> {
        let inner = &*self.0;
        let spec = TopicSpec::of(topic);
        let size = spec.check_size(&key, &value)?;
        let room = inner.room(topic, size).await?;
        let partition = partition.unwrap_or_else(|| partition_of(&key, spec.partitions));
        let (tell, told) = oneshot::channel();
        let pending = Box::new(Pending {
            tell,
            topic,
            partition,
            since: Instant::now(),
            _room: room,
        });
        let record = BaseRecord::with_opaque_to(inner.names.of(topic), pending)
            .partition(partition.0)
            .key(&key[..])
            .payload(&value[..])
            .timestamp(label.timestamp_ms())
            .headers(label.to_headers());
        match inner.producer.send(record) {
            Ok(()) => Ok(Delivery {
                topic,
                told,
                appender: self.clone(),
                traceparent: label.traceparent().to_owned(),
            }),
            Err((error, _)) => Err(classify(topic, size, &error, || {
                fatal_reason(&inner.producer)
            })),
        }
    }
}

impl Inner {
    /// Waits for room in the queue, no longer than a record may wait there.
    async fn room(&self, topic: Topic, size: usize) -> Result<Room, AppendError> {
        let bytes = size.min(self.config.max_queued_bytes);
        let bytes = u32::try_from(bytes).expect("checked at the start");
        let both = async {
            let record = Arc::clone(&self.records).acquire_owned().await;
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
            let never = "the semaphores are never closed";
            Room {
                _record: record.expect(never),
                _bytes: bytes.expect(never),
            }
        };
        let Some(timeout) = self.config.delivery_timeout else {
            return Ok(both.await);
        };
        tokio::time::timeout(timeout, both)
            .await
            .map_err(|_| AppendError::Unavailable {
                topic,
                reason: "the queue of unacknowledged records is full".to_owned(),
            })
    }

    /// The record whose failure ends the appender is told of that failure, and
    /// those behind it that they were given up: all of it means the end.
    fn explain(&self, error: AppendError) -> AppendError {
        match (&error, fatal_reason(&self.producer)) {
            (AppendError::Unavailable { .. }, Some(reason)) => AppendError::Fatal { reason },
            _ => error,
        }
    }
}

/// A record's share of the queue, given back when it has its answer.
struct Room {
    _record: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The log's answer to one record. Dropping it does not take the record back.
#[must_use = "the record is in the log only once this says so"]
#[derive(Debug)]
pub struct Delivery {
    topic: Topic,
    told: oneshot::Receiver<Result<RecordId, AppendError>>,
    /// An appender that nobody holds gives up what it has not appended yet.
    appender: Appender,
    traceparent: String,
}

impl Delivery {
    /// The event's W3C trace context; empty when it was not traced.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }
}

impl Future for Delivery {
    type Output = Result<RecordId, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.told).poll(context).map(|told| {
            let told = told.unwrap_or_else(|_| {
                Err(AppendError::Unavailable {
                    topic: self.topic,
                    reason: "the appender was closed before the answer".to_owned(),
                })
            });
            told.map_err(|error| self.appender.0.explain(error))
        })
    }
}

impl AppenderConfig {
    fn check(&self) -> Result<(), LogError> {
        let refuse = |key: &str, found: String, reason: &str| {
            Err(LogError::Config {
                key: key.to_owned(),
                found,
                reason: reason.to_owned(),
            })
        };
        let smallest = Duration::from_millis(1);
        if let Some(timeout) = self.delivery_timeout.filter(|t| *t < smallest) {
            let reason = "it is at least 1 ms";
            return refuse("delivery_timeout", format!("{timeout:?}"), reason);
        }
        if self.linger > Duration::from_secs(60) {
            return refuse("linger", format!("{:?}", self.linger), "it is at most 60 s");
        }
        for (key, found, limit) in [
            ("max_queued_bytes", self.max_queued_bytes, 1 << 30),
            ("max_queued_records", self.max_queued_records, 5_000_000),
        ] {
            if found == 0 || found > limit {
                return refuse(key, found.to_string(), &format!("it is 1 to {limit}"));
            }
        }
        Ok(())
    }
}

fn librdkafka_config(log: &LogConfig, config: &AppenderConfig) -> ClientConfig {
    // Ours are the bounds that hold. librdkafka counts records until all those
    // that were acknowledged together have been told of, so up to twice as many.
    let kilobytes = (4 * config.max_queued_bytes / 1024).max(65_536);
    let records = 2 * config.max_queued_records + 1;
    let mut settings = log.client();
    settings
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // A cluster that waits for its replicas says so before the answer is given up.
        .set("request.timeout.ms", "10000")
        .set("linger.ms", config.linger.as_millis().to_string())
        .set("batch.size", TopicSpec::gathered_batch_bytes().to_string())
        .set("queue.buffering.max.kbytes", kilobytes.to_string())
        .set("queue.buffering.max.messages", records.to_string());
    match config.delivery_timeout {
        Some(timeout) => settings.set("message.timeout.ms", timeout.as_millis().to_string()),
        // The guarantee covers every way but time-outs in which librdkafka would
        // go on behind a record that it gave up; so there are no time-outs.
        None => settings
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true"),
    };
    settings
}

fn classify(
    topic: Topic,
    size: usize,
    error: &KafkaError,
    fatal: impl FnOnce() -> Option<String>,
) -> AppendError {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => AppendError::TooLarge {
            topic,
            size,
            limit: TopicSpec::of(topic).max_record_bytes,
        },
        Some(Code::Fatal | Code::GaplessGuarantee | Code::Fenced) => AppendError::Fatal {
            reason: fatal().unwrap_or_else(|| error.to_string()),
        },
        _ => AppendError::Unavailable {
            topic,
            reason: error.to_string(),
        },
    }
}

fn fatal_reason(producer: &ThreadedProducer<Outcome>) -> Option<String> {
    let (code, reason) = producer.client().fatal_error()?;
    Some(format!("{code}: {reason}"))
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// Of one append; whoever hears of its place records partition and offset. Fields as in
/// OpenTelemetry's semantic conventions for messaging.
pub fn append_span(topic: Topic) -> Span {
    tracing::info_span!(
        "append",
        otel.name = format!("append {topic}"),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.destination.name = topic.as_str(),
        messaging.destination.partition.id = field::Empty,
        messaging.kafka.offset = field::Empty,
    )
}
