//! Protobuf's timestamps and ours.

use prost_types::Timestamp;
use time::OffsetDateTime;

pub fn to_proto(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).expect("nanoseconds are below 10^9"),
    }
}

/// `None` when it lies outside the years −9999 to 9999 or its nanoseconds
/// outside 0 to 10⁹.
pub fn from_proto(at: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(at.nanos)
        .ok()
        .filter(|n| *n < 1_000_000_000)?;
    OffsetDateTime::from_unix_timestamp(at.seconds)
        .ok()?
        .replace_nanosecond(nanos)
        .ok()
}
