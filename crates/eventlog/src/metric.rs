//! The names of the metrics that this crate records, and their help.

use metrics::{Unit, describe_counter, describe_histogram};

/// Labels: `topic`, `outcome` (`acknowledged` or `failed`).
pub const APPENDED: &str = "log_appended_total";
/// Labels: `topic`. From hand-over to acknowledgement.
pub const APPEND_SECONDS: &str = "log_append_seconds";
/// Labels: `topic`.
pub const READ: &str = "log_read_total";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_counter!(
        APPENDED,
        "Records handed to the log, by whether it acknowledged them"
    );
    describe_histogram!(
        APPEND_SECONDS,
        Unit::Seconds,
        "Time from a record's hand-over to its acknowledgement"
    );
    describe_counter!(READ, "Records read from the log");
}
