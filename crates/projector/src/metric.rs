//! Names and help of what the projector loop counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub const EVENTS: &str = "compline_projector_events_total";
pub const DROPPED: &str = "compline_projector_repeats_dropped_total";
pub const PARKED: &str = "compline_projector_parked_records_total";
pub const BATCH_SIZE: &str = "compline_projector_batch_records";
pub const COMMIT_SECONDS: &str = "compline_projector_commit_seconds";
pub const RETRIES: &str = "compline_projector_retries_total";
pub const FENCES_LOST: &str = "compline_projector_fences_lost_total";
pub const UNSHARED: &str = "compline_projector_unshared_total";
pub const STOPPED: &str = "compline_projector_partition_stopped";
pub const NEXT_OFFSET: &str = "compline_projector_next_offset";

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
    describe_gauge!(
        STOPPED,
        "1 while a partition stands still until somebody looks"
    );
    describe_gauge!(NEXT_OFFSET, "The checkpoint's next offset");
}
