//! The names of the metrics that this crate records, and their help.

use metrics::{Unit, describe_counter, describe_histogram};

/// Labels: `type` (the event's), `outcome` (`effective`, `stale`, `last_admin`, `repeated`,
/// or `unchanged` when it held before and nothing was appended).
pub const COMMANDS: &str = "commands_total";
/// Labels: `type` (the event's). From the log's acknowledgement.
pub const VERDICT_SECONDS: &str = "command_verdict_seconds";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_counter!(COMMANDS, "Commands that were decided, by outcome");
    describe_histogram!(
        VERDICT_SECONDS,
        Unit::Seconds,
        "Time from a command's acknowledgement by the log to its verdict in the read model"
    );
}
