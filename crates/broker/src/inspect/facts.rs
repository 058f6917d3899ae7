//! What is told of a folder.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// What the folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFacts {
    pub cluster_id: String,
    /// Whether the last broker stopped in order.
    pub clean: bool,
    /// No producer id from here on was given so far.
    pub next_producer_id: Option<i64>,
    /// What is wrong with the folder's own files.
    pub findings: Vec<Finding>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    pub name: String,
    pub id: Uuid,
    /// What was set for it; the rest has the broker's defaults.
    pub settings: Vec<(String, String)>,
    pub partitions: Vec<PartitionFolder>,
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFolder {
    pub number: i32,
    pub path: PathBuf,
}

/// What a partition holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Where it begins for readers: what stands before was deleted.
    pub start_offset: i64,
    /// Where it ends, torn tails left out.
    pub end_offset: i64,
    /// Up to where it was synced, as its mark says; exact unless the machine lost its power.
    pub synced_offset: Option<i64>,
    pub segments: Vec<SegmentFacts>,
    pub producers: Vec<ProducerFacts>,
    /// Whether a compaction was interrupted, which the broker finishes when it opens.
    pub is_being_compacted: bool,
    pub findings: Vec<Finding>,
}

/// One file of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    pub path: PathBuf,
    pub first_offset: i64,
    pub next_offset: i64,
    pub bytes: u64,
    pub batches: u64,
    pub records: u64,
    /// The largest timestamp, milliseconds since 1970; -1 when there is none.
    pub newest_ms: i64,
}

/// One batch, as its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts<'a> {
    pub segment: &'a Path,
    /// Where in the file it begins.
    pub position: u64,
    pub bytes: u64,
    pub first_offset: i64,
    pub next_offset: i64,
    pub records: u32,
    /// `none`, `gzip`, `snappy`, `lz4`, `zstd`, or `?`.
    pub codec: &'static str,
    /// Of the first record, milliseconds since 1970.
    pub base_ms: i64,
    /// The largest.
    pub newest_ms: i64,
    /// -1 without a producer id; so are epoch and sequence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub first_sequence: i32,
}

/// What is remembered of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerFacts {
    pub id: i64,
    pub epoch: i16,
    /// Of its last record.
    pub last_sequence: i32,
    pub last_offset: i64,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommittedFacts {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub metadata: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The broker makes it anew when it opens.
    Note,
    /// A write that a crash tore. It was never acknowledged; the broker cuts it when it opens.
    Torn,
    /// Something that was on disk is not there any more. The broker does not open over it.
    Damage,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub path: PathBuf,
    /// The bytes that make no sense; empty where some are missing.
    pub bytes: Range<u64>,
    /// The offsets that went with them.
    pub lost: Range<i64>,
    /// Whether the mark says that these were synced, and so may have been acknowledged.
    pub acknowledged: bool,
    /// Nothing in the file is of the log, whatever its name says: a repair sets it aside whole.
    pub is_stray: bool,
    pub what: String,
}

impl Finding {
    pub(super) fn note(path: &Path, what: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Note,
            path: path.to_owned(),
            bytes: 0..0,
            lost: 0..0,
            acknowledged: false,
            is_stray: false,
            what: what.into(),
        }
    }

    pub(super) fn stray(path: &Path, size: u64) -> Finding {
        let what = "it is named like a segment, and nothing of this log is in it";
        Finding {
            severity: Severity::Damage,
            bytes: 0..size,
            is_stray: true,
            ..Finding::note(path, what)
        }
    }

    pub(super) fn damage(path: &Path, position: u64, what: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Damage,
            bytes: position..position,
            ..Finding::note(path, what)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, bytes, lost) = (self.path.display(), &self.bytes, &self.lost);
        if self.is_stray {
            return write!(f, "{path}: {}; the whole file is set aside", self.what);
        }
        write!(f, "{path} at byte {}: {}", bytes.start, self.what)?;
        if !bytes.is_empty() {
            write!(f, "; {} bytes make no sense", bytes.end - bytes.start)?;
        }
        if !lost.is_empty() {
            let count = lost.end - lost.start;
            let last = lost.end - 1;
            write!(
                f,
                "; the offsets {} to {last} ({count}) are gone",
                lost.start
            )?;
            let acknowledged = if self.acknowledged { "" } else { "not " };
            write!(f, ", {acknowledged}acknowledged")?;
        }
        Ok(())
    }
}
