//! Where the embedded broker and Apache Kafka may differ: all of it, line by line.
//!
//! Every line is held against what the log at hand does, on both sides, so a line that has become
//! untrue fails the suite as a broken promise does.

use std::fmt;

/// One thing that the two do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// What is looked at.
    pub what: &'static str,
    /// What the embedded broker does.
    pub embedded: &'static str,
    /// What Apache Kafka 4.3 does.
    pub kafka: &'static str,
}

const fn differs(what: &'static str, embedded: &'static str, kafka: &'static str) -> Difference {
    Difference {
        what,
        embedded,
        kafka,
    }
}

pub(crate) const TRANSACTIONS: Difference = differs(
    "a transactional producer begins",
    "TransactionalIdAuthorizationFailed",
    "None",
);
pub(crate) const NEW_GROUPS: Difference = differs(
    "a member asks for the consumer group protocol of KIP-848",
    "refused",
    "taken",
);
pub(crate) const NEW_REQUESTS: Difference = differs(
    "requests for transactions, and for consumer and share groups",
    "not listed",
    "listed",
);
pub(crate) const RECOMPRESSION: Difference = differs(
    "compression.type=gzip of a new topic",
    "InvalidConfig",
    "None",
);
pub(crate) const RETENTION_DEFAULT: Difference =
    differs("retention.ms where it is not set", "-1", "604800000");
pub(crate) const SEGMENT_DEFAULT: Difference = differs(
    "segment.bytes where it is not set",
    "67108864",
    "1073741824",
);
pub(crate) const SMALL_SEGMENTS: Difference =
    differs("segment.bytes=1000 of a new topic", "None", "InvalidConfig");

/// The whole list.
pub const DIFFERENCES: [Difference; 7] = [
    TRANSACTIONS,
    NEW_GROUPS,
    NEW_REQUESTS,
    RECOMPRESSION,
    RETENTION_DEFAULT,
    SEGMENT_DEFAULT,
    SMALL_SEGMENTS,
];

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            what,
            embedded,
            kafka,
        } = self;
        write!(f, "{what}: {embedded} (embedded), {kafka} (Apache Kafka)")
    }
}
