//! What a request was for, so that its answer finds whom it concerns.

use super::model::{BatchId, Incarnation, Place};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum About {
    Produce {
        batch: BatchId,
        /// All that its producer sent before was acknowledged when it was sent.
        is_next: bool,
        /// A later epoch of its producer had been acknowledged by the partition when it was sent.
        is_fenced: bool,
    },
    ProducerId {
        producer: usize,
    },
    Fetch {
        place: Place,
        offset: i64,
    },
    ListOffsets {
        place: Place,
        timestamp: i64,
        /// What must come of it, where that is known.
        exactly: Option<i64>,
    },
    DeleteRecords {
        place: Place,
    },
    CreateTopic {
        incarnation: Incarnation,
    },
    DeleteTopic {
        incarnation: Incarnation,
    },
    Commit {
        group: usize,
        place: Place,
        version: usize,
        /// A later generation had been told to somebody when it was sent.
        is_stale: bool,
    },
    FetchOffsets {
        group: usize,
        /// For each place, the oldest version that may still be there.
        floors: Vec<(Place, usize)>,
    },
    ForgetOffsets {
        group: usize,
        place: Place,
        version: usize,
    },
    Join {
        group: usize,
        member: usize,
    },
    SyncGroup {
        group: usize,
        member: usize,
        generation: i32,
    },
    Heartbeat {
        group: usize,
        member: usize,
    },
    Leave {
        group: usize,
    },
}
