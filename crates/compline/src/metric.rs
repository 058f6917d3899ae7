//! The names of the metrics that the composition itself records, and their help.

pub mod counted;

use metrics::{Unit, describe_counter, describe_gauge};

use self::counted::Histogram;

// All of the embedded log; it counts from its start on.
pub const BROKER_CONNECTIONS: &str = "broker_connections_open";
pub const BROKER_CONNECTIONS_TAKEN: &str = "broker_connections_total";
pub const BROKER_CONNECTIONS_REFUSED: &str = "broker_connections_refused_total";
pub const BROKER_REQUESTS_REFUSED: &str = "broker_requests_refused_total";
pub const BROKER_BYTES_IN: &str = "broker_received_bytes_total";
pub const BROKER_BYTES_OUT: &str = "broker_sent_bytes_total";
pub const BROKER_BYTES_APPENDED: &str = "broker_appended_bytes_total";
pub const BROKER_BYTES_FETCHED: &str = "broker_fetched_bytes_total";
pub const BROKER_RECORDS: &str = "broker_records_appended_total";
pub const BROKER_DUPLICATES: &str = "broker_duplicate_batches_total";
/// The label has Kafka's kinds.
pub const BROKER_REQUEST_SECONDS: Histogram = Histogram {
    name: "broker_request_seconds",
    help: "Time from a request of Kafka's protocol to its answer, waiting included",
    label: Some("request"),
};
/// Labels: `error`, of Kafka's.
pub const BROKER_ERRORS: &str = "broker_errors_total";
pub const BROKER_SYNC_SECONDS: Histogram = Histogram {
    name: "broker_sync_seconds",
    help: "Time of a sync of the embedded log to disk",
    label: None,
};
pub const BROKER_SYNC_LONGEST: &str = "broker_sync_longest_seconds";
/// Labels: `group`, `topic`.
pub const BROKER_GROUP_LAG: &str = "broker_group_lag_records";
/// Labels: `group`.
pub const BROKER_GROUP_MEMBERS: &str = "broker_group_members";
/// Labels: `topic`.
pub const TOPIC_BYTES: &str = "broker_topic_bytes";
pub const TOPIC_SEGMENTS: &str = "broker_topic_segments";

/// Gives every metric of every room its help, but for the [`Histogram`]s here, which
/// carry theirs.
pub fn describe_all() {
    compline_runtime::metric_definitions::describe();
    compline_ad::metric::describe();
    compline_command::metric::describe();
    compline_engine::metric::describe();
    compline_eventlog::metric::describe();
    compline_ingress::metric::describe();
    compline_projector::metric::describe();
    compline_query::metric::describe();
    describe();
}

/// Gives every name its help. Called once the recorder is installed.
fn describe() {
    describe_gauge!(BROKER_CONNECTIONS, "Connections of Kafka clients now");
    describe_counter!(
        BROKER_CONNECTIONS_TAKEN,
        "Connections that Kafka clients made"
    );
    describe_counter!(
        BROKER_CONNECTIONS_REFUSED,
        "Connections of Kafka clients closed on arrival because there were too many"
    );
    describe_counter!(
        BROKER_REQUESTS_REFUSED,
        "Requests that closed their connection: too long, unreadable, unknown, not Kafka's"
    );
    describe_counter!(
        BROKER_BYTES_IN,
        Unit::Bytes,
        "Bytes that Kafka clients sent"
    );
    describe_counter!(
        BROKER_BYTES_OUT,
        Unit::Bytes,
        "Bytes that were sent to Kafka clients"
    );
    describe_counter!(
        BROKER_BYTES_APPENDED,
        Unit::Bytes,
        "Bytes of record batches that the embedded log has appended"
    );
    describe_counter!(
        BROKER_BYTES_FETCHED,
        Unit::Bytes,
        "Bytes of record batches that were fetched"
    );
    describe_counter!(BROKER_RECORDS, "Records that the embedded log has appended");
    describe_counter!(
        BROKER_DUPLICATES,
        "Batches that a producer sent again and that were not appended again"
    );
    describe_counter!(
        BROKER_ERRORS,
        "Errors of Kafka's protocol that answers told of"
    );
    describe_gauge!(
        BROKER_SYNC_LONGEST,
        Unit::Seconds,
        "The longest sync of the embedded log since its start"
    );
    describe_gauge!(
        BROKER_GROUP_LAG,
        "Records that a consumer group has not committed, of the partitions it has committed any of"
    );
    describe_gauge!(BROKER_GROUP_MEMBERS, "Members of a consumer group");
    describe_gauge!(
        TOPIC_BYTES,
        Unit::Bytes,
        "Bytes that a topic's segments take"
    );
    describe_gauge!(TOPIC_SEGMENTS, "Segment files of a topic");
}
