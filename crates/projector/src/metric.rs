//! Names and help of what the projector loop counts.
//!
//! All have the labels `projection` (an engine's is `engine:<name>`) and `generation`.

use compline_readmodel::Generation;
use metrics::{
    Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};

pub const EVENTS: &str = "compline_projector_events_total";
pub const DROPPED: &str = "compline_projector_repeats_dropped_total";
pub const PARKED: &str = "compline_projector_parked_records_total";
pub const BATCH_SIZE: &str = "compline_projector_batch_records";
pub const COMMIT_SECONDS: &str = "compline_projector_commit_seconds";
pub const RETRIES: &str = "compline_projector_retries_total";
pub const FENCES_LOST: &str = "compline_projector_fences_lost_total";
pub const UNSHARED: &str = "compline_projector_unshared_total";
/// 1 for an engine.
pub const LIVE: &str = "compline_projector_generation_live";

// What follows is of the partitions that this process owns, and 0 of those that it
// does not own any more. Labels: `topic`.
pub const PARTITIONS: &str = "compline_projector_partitions";
pub const LAG_EVENTS: &str = "compline_projector_lag_events";
pub const LAG_SECONDS: &str = "compline_projector_lag_seconds";
pub const PARKED_KEYS: &str = "compline_projector_parked_keys";
/// Labels: `topic`, `partition`.
pub const STOPPED: &str = "compline_projector_partition_stopped";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_counter!(
        EVENTS,
        "Events applied to a read model or decided by an engine"
    );
    describe_counter!(DROPPED, "Engine outputs that had been taken before");
    describe_counter!(PARKED, "Records set aside with their key");
    describe_histogram!(BATCH_SIZE, "Records in one transaction");
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "Time of one batch's transaction"
    );
    describe_counter!(RETRIES, "Batches rolled back and tried again");
    describe_counter!(
        FENCES_LOST,
        "Batches refused because the checkpoint was not as remembered"
    );
    describe_counter!(
        UNSHARED,
        "Shared transactions that failed, so that each batch was tried alone"
    );
    describe_gauge!(LIVE, "1 for the generation that is read, 0 for another");
    describe_gauge!(PARTITIONS, "Partitions that this process owns");
    describe_gauge!(
        LAG_EVENTS,
        "Records in the log that the partitions of this process have not applied"
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "Age of the oldest of these records; 0 when there is none"
    );
    describe_gauge!(
        PARKED_KEYS,
        "Keys set aside now, of the partitions of this process"
    );
    describe_gauge!(
        STOPPED,
        "1 while a partition stands still until somebody looks"
    );
}

/// Shows what has not happened yet as 0: what first appears with 1 was no rise to
/// anyone who watches for rises.
pub(crate) fn register(labels: &[Label]) {
    for name in [EVENTS, DROPPED, PARKED, RETRIES, FENCES_LOST, UNSHARED] {
        counter!(name, labels.to_vec()).increment(0);
    }
    for name in [BATCH_SIZE, COMMIT_SECONDS] {
        let _shown = histogram!(name, labels.to_vec());
    }
}

pub(crate) fn labels(projection: &str, generation: Generation) -> Vec<Label> {
    vec![
        Label::new("projection", projection.to_owned()),
        Label::new("generation", generation.to_string()),
    ]
}
