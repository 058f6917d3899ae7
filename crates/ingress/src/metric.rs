//! The names of the metrics that ingress records, and their help.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Labels: `source` (`meta` or `stripe`), `outcome`. A delivery that meets the rate limit is refused
/// before it has a source; the server counts it.
pub const DELIVERIES: &str = "ingress_deliveries_total";
/// Labels: `source`.
pub const BODY_BYTES: &str = "ingress_body_bytes_total";
/// Labels: `source`. Only deliveries that the log acknowledged.
pub const APPEND_SECONDS: &str = "ingress_append_seconds";
/// Labels: `source`.
pub const IN_FLIGHT: &str = "ingress_deliveries_in_flight";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_counter!(
        DELIVERIES,
        "Webhook deliveries that were answered, by what became of them"
    );
    describe_counter!(
        BODY_BYTES,
        Unit::Bytes,
        "Bytes of webhook bodies that the log acknowledged"
    );
    describe_histogram!(
        APPEND_SECONDS,
        Unit::Seconds,
        "Time from a verified webhook to the log's acknowledgement"
    );
    describe_gauge!(IN_FLIGHT, "Webhook deliveries being read or appended now");
}
