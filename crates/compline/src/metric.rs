//! The names of the metrics that the composition itself records, and their help.

use metrics::{Unit, describe_counter, describe_gauge};

/// Labels: `topic`. Of the embedded log.
pub const TOPIC_BYTES: &str = "broker_topic_bytes";
pub const BROKER_CONNECTIONS: &str = "broker_connections_open";
pub const BROKER_RECORDS: &str = "broker_records_appended_total";
pub const BROKER_SYNCS: &str = "broker_syncs_total";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_gauge!(
        TOPIC_BYTES,
        Unit::Bytes,
        "Bytes that a topic's segments take"
    );
    describe_gauge!(BROKER_CONNECTIONS, "Connections of Kafka clients now");
    describe_counter!(BROKER_RECORDS, "Records that the embedded log has appended");
    describe_counter!(BROKER_SYNCS, "Syncs of the embedded log to disk");
}
