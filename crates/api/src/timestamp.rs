//! Protobuf's timestamps and ours.

use prost_types::Timestamp;
use time::OffsetDateTime;

pub fn to_proto(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).expect("nanoseconds are below 10^9"),
    }
}
