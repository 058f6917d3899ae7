//! What librdkafka says, as our own log lines.

use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
};

/// librdkafka calls a refused connection an error and repeats it with each try.
/// It mends such things itself and whoever waits is told, so they are no more
/// than worth a look here.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "librdkafka: {line}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::info!(facility, "librdkafka: {line}");
        }
        _ => tracing::debug!(facility, "librdkafka: {line}"),
    }
}

pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, "librdkafka: {reason}");
}

/// For clients with nothing to listen to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// Counts the connections that were lost, where librdkafka is asked to tell its
/// brokers' states (`debug=broker`). Its errors would not do: one that repeats
/// within 30 s is not told.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    lost: AtomicU64,
}

impl Connections {
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }
}

impl ClientContext for Connections {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "STATE" && is_loss(line) {
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Connections {}

/// Of `rd_kafka_broker_set_state`. Nothing is read over the connection by which a
/// client meets its first broker.
fn is_loss(line: &str) -> bool {
    line.contains(": Broker changed state UP -> ") && !line.contains("/bootstrap: ")
}
