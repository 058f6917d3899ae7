//! What can go wrong, classified where someone decides by it.

use compline_event::{DecodeError, Offset, Partition, RecordId, Topic};
use rdkafka::error::KafkaError;

use crate::{Bounds, config::is_plain};

/// The log's set-up, its administration, its groups.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log setting {key} = {found:?}: {reason}")]
    Config {
        key: String,
        found: String,
        reason: String,
    },
    #[error("topic {name} is not there")]
    TopicMissing { name: String },
    #[error(
        "topic {name} has {found} partitions and must have {expected}: a key would change places"
    )]
    PartitionCount {
        name: String,
        expected: u32,
        found: u32,
    },
    #[error("topic {name} has {setting} = {found} and must have {needed}")]
    TopicSetting {
        name: String,
        setting: &'static str,
        found: String,
        needed: String,
    },
    #[error("the brokers have {setting} = {found} and must have {needed}")]
    BrokerSetting {
        setting: &'static str,
        found: String,
        needed: String,
    },
    #[error(
        "topics are to have {replication} replicas, each on a broker of its own, and there are {brokers} brokers"
    )]
    TooFewBrokers { replication: u16, brokers: usize },
    /// Of several at once; two or more.
    #[error("{}", joined(.errors))]
    Several { errors: Vec<LogError> },
    #[error("{topic}/{partition} is not a partition")]
    NoPartition { topic: Topic, partition: Partition },
    #[error("{topic}/{partition} is being read already")]
    AlreadyReading { topic: Topic, partition: Partition },
    #[error("{topic}/{partition} is not ours to read")]
    NotAssigned { topic: Topic, partition: Partition },
    #[error("cannot read {at}")]
    Read { at: RecordId, source: ReadError },
    #[error("{at} does not come")]
    ReadTimeout { at: RecordId },
    #[error("the log does not answer: {doing}")]
    Unavailable {
        doing: &'static str,
        source: KafkaError,
    },
    /// The client is broken for good: make a new one.
    #[error("the log's client has failed for good: {doing}")]
    Fatal {
        doing: &'static str,
        source: KafkaError,
    },
    #[error("the log refuses: {doing}")]
    Refused {
        doing: &'static str,
        source: KafkaError,
    },
}

/// One append.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Permanent: no retry makes it smaller.
    #[error("a record of {size} bytes is too large for topic {topic}, which takes {limit}")]
    TooLarge {
        topic: Topic,
        size: usize,
        limit: usize,
    },
    /// Permanent: the bytes are not an envelope.
    #[error("what is to be appended is not an envelope: {reason}")]
    NotAnEnvelope { reason: String },
    /// Transient. Not a "no": the record may still appear in the log, so a retry
    /// must be the same event.
    #[error("the log did not acknowledge a record for {topic}: {reason}")]
    Unavailable { topic: Topic, reason: String },
    /// This appender can go on no more: make a new one.
    #[error("the appender has failed for good: {reason}")]
    Fatal { reason: String },
}

/// Reading on in one partition.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Permanent: the log was cut, or made anew. Stop the partition and say so.
    #[error("{at} is not in the log, which holds {start} up to {end} there",
        start = bounds.start, end = bounds.end)]
    OutOfRange { at: RecordId, bounds: Bounds },
    /// Permanent: the disk under that batch has changed it. Stop the partition and say
    /// so; nothing behind it is read.
    #[error(
        "what the log holds at {at} is damaged, see \"A corrupt log\" in docs/operations.md: {reason}"
    )]
    Damaged { at: RecordId, reason: &'static str },
    /// The same read may succeed later; the reader goes on by itself.
    #[error("cannot read {topic}/{partition} at {offset} now: {reason}")]
    Transient {
        topic: Topic,
        partition: Partition,
        offset: Offset,
        reason: String,
    },
    /// The log was away, and nobody knows whether it is the same: only told to members
    /// of a group, before a record that came over another connection than those before.
    /// Look whether the last record is still there; the reader goes on by itself.
    #[error("the log was away before {topic}/{partition} was read at {offset}")]
    Reconnected {
        topic: Topic,
        partition: Partition,
        offset: Offset,
    },
    /// The partition was taken away.
    #[error("{topic}/{partition} is not ours to read any more")]
    Revoked { topic: Topic, partition: Partition },
}

impl LogError {
    /// Whether waiting may help.
    pub fn is_transient(&self) -> bool {
        match self {
            LogError::Unavailable { .. }
            | LogError::ReadTimeout { .. }
            | LogError::AlreadyReading { .. } => true,
            LogError::Read { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// Whether topics or brokers are not as the promises need them.
    pub fn is_broken_promise(&self) -> bool {
        match self {
            LogError::PartitionCount { .. }
            | LogError::TopicSetting { .. }
            | LogError::BrokerSetting { .. } => true,
            LogError::Several { errors } => errors.iter().all(LogError::is_broken_promise),
            _ => false,
        }
    }

    /// Of at least one.
    pub(crate) fn of_all(errors: impl IntoIterator<Item = LogError>) -> Self {
        let mut errors: Vec<_> = errors.into_iter().collect();
        match errors.len() {
            1 => errors.remove(0),
            _ => LogError::Several { errors },
        }
    }

    pub(crate) fn of(doing: &'static str, source: KafkaError) -> Self {
        use rdkafka::types::RDKafkaErrorCode as Code;

        if let KafkaError::ClientConfig(_, reason, key, found) = source {
            // librdkafka's sentence repeats the value, which may be a password.
            let (found, reason) = if is_plain(&key) {
                (found, reason)
            } else {
                ("[redacted]".to_owned(), "not accepted".to_owned())
            };
            return LogError::Config { key, found, reason };
        }
        match source.rdkafka_error_code() {
            Some(Code::Fatal | Code::Fenced) => LogError::Fatal { doing, source },
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::InvalidTopic
                | Code::InvalidReplicationFactor
                | Code::InvalidConfig
                | Code::PolicyViolation
                | Code::UnsupportedVersion
                | Code::UnsupportedFeature,
            ) => LogError::Refused { doing, source },
            _ => LogError::Unavailable { doing, source },
        }
    }
}

fn joined(errors: &[LogError]) -> String {
    let all: Vec<String> = errors.iter().map(LogError::to_string).collect();
    all.join("; ")
}

impl AppendError {
    /// Whether the same record may be appended later.
    pub fn is_transient(&self) -> bool {
        matches!(self, AppendError::Unavailable { .. })
    }

    pub(crate) fn not_an_envelope(error: &DecodeError) -> Self {
        AppendError::NotAnEnvelope {
            reason: error.to_string(),
        }
    }
}

impl ReadError {
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            ReadError::Transient { .. } | ReadError::Reconnected { .. }
        )
    }
}
