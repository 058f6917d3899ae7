//! Where librdkafka tells what became of each record.

use std::time::Instant;

use compline_event::{Offset, Partition, RecordId, Topic};
use metrics::{Counter, Histogram};
use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{NoCustomPartitioner, ProducerContext},
};
use tokio::sync::oneshot;

use super::{Room, classify};
use crate::{AppendError, context, metric};

/// Runs on the producer's own thread.
pub(super) struct Outcome {
    counts: [Counts; Topic::ALL.len()],
}

struct Counts {
    acknowledged: Counter,
    failed: Counter,
    seconds: Histogram,
}

/// A record between hand-over and answer.
pub(super) struct Pending {
    pub(super) tell: oneshot::Sender<Result<RecordId, AppendError>>,
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) since: Instant,
    pub(super) _room: Room,
}

impl Default for Outcome {
    fn default() -> Self {
        let counts = Topic::ALL.map(|topic| {
            let topic = topic.as_str();
            let count = |outcome| metrics::counter!(metric::APPENDED, "topic" => topic, "outcome" => outcome);
            Counts {
                acknowledged: count("acknowledged"),
                failed: count("failed"),
                seconds: metrics::histogram!(metric::APPEND_SECONDS, "topic" => topic),
            }
        });
        Self { counts }
    }
}

impl ProducerContext<NoCustomPartitioner> for Outcome {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Box<Pending>) {
        let topic = pending.topic;
        let counts = &self.counts[topic as usize];
        let answer = match result {
            Ok(message) => {
                counts.acknowledged.increment(1);
                counts.seconds.record(pending.since.elapsed());
                Ok(RecordId {
                    topic,
                    partition: pending.partition,
                    offset: Offset(message.offset()),
                })
            }
            Err((error, message)) => {
                counts.failed.increment(1);
                let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
                let size = length(message.key()) + length(message.payload());
                Err(classify(topic, size, error, || None))
            }
        };
        // Nobody need be waiting.
        let _ = pending.tell.send(answer);
    }
}

impl ClientContext for Outcome {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::log_error(&error, reason);
    }
}
