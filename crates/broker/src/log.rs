//! One partition's log: segments of record batches, and what is known about them.
//!
//! This is the part behind the partition's lock; it waits for no sync but at its close, and never
//! reads records. What to read is answered as a [`read::Place`], which is read outside of the lock;
//! a full segment is closed likewise, by a [`roll::Roll`].
//!
//! Invariants: offsets have no holes within a log that is not compacted; all segments but the
//! last are synced, and so are their names; `synced` never moves back.

mod cleaner;
mod index;
pub(crate) mod mark;
mod order;
mod part;
mod producers;
mod read;
mod recover;
mod retention;
mod roll;
mod scan;
mod search;
mod segment;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cleaner::Border;
pub(crate) use cleaner::Pass;
pub(crate) use index::Index;
pub(crate) use mark::{Mark, MarkFile, Point};
pub(crate) use order::{Damage, ReadError};
pub(crate) use part::Part;
use producers::Verdict;
pub(crate) use producers::{KnownProducer, Producers};
pub(crate) use read::{Found, Place};
pub(crate) use recover::{FARTHEST, bases, open, snapshots};
pub(crate) use search::sound_batch;
pub(crate) use segment::segment_path;
use segment::{Active, Closed};

use crate::Error;
use crate::batch::{Header, Stamp};
use crate::file::{Disk, DiskFile};
use crate::guard::{self, Guard};

/// Settings of a topic that its logs need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogSettings {
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
    /// Whether retention by time and size applies.
    pub(crate) deletes: bool,
    pub(crate) retention_ms: i64,
    pub(crate) retention_bytes: i64,
    /// Of a log that is compacted.
    pub(crate) compaction: Option<Compaction>,
    pub(crate) append_time: bool,
}

/// When a log is compacted, under Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compaction {
    /// How long tombstones stay after the pass that first found nothing newer of their keys.
    pub(crate) delete_retention_ms: i64,
    /// The part of the log's bytes, 0 to 1, that must be more than not compacted yet.
    pub(crate) min_cleanable_dirty_ratio: f64,
    /// Segments with anything younger stay as they are.
    pub(crate) min_compaction_lag_ms: i64,
    /// With anything older, compaction is due whatever the ratio.
    pub(crate) max_compaction_lag_ms: i64,
}

impl LogSettings {
    /// After how long a segment is full: a log that must be compacted in time must be rolled in
    /// time.
    fn roll_ms(&self) -> i64 {
        match self.compaction {
            Some(compaction) if compaction.max_compaction_lag_ms > 0 => {
                self.segment_ms.min(compaction.max_compaction_lag_ms)
            }
            _ => self.segment_ms,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Oldest first.
    closed: VecDeque<Arc<Closed>>,
    active: Active,
    producers: Producers,
    start_offset: i64,
    border: Border,
    synced: Point,
    /// An append failed and could not be undone: the tail of the file is unknown.
    broken: bool,
    /// A sync failed. The kernel may call the next one a success all the same, so there is none.
    sync_failed: bool,
    is_rolling: bool,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) offset: i64,
    /// What must be synced before the append may be acknowledged.
    pub(crate) next_offset: i64,
    pub(crate) append_time: Option<i64>,
    pub(crate) duplicate: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the batch does not follow the last one of its producer")]
    OutOfOrder,
    #[error("the producer has a newer epoch by now")]
    Fenced,
    /// The disk is full or worse; nothing of the batch is in the log.
    #[error(transparent)]
    Disk(#[from] Error),
}

/// A file to sync, and what is durable after that.
#[derive(Debug)]
pub(crate) struct SyncJob {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) end: Point,
}

impl Log {
    /// Appends a batch that [`crate::batch::check`] let pass, to a log that is not full.
    pub(crate) fn append(
        &mut self,
        batch: &[u8],
        mut header: Header,
        settings: &LogSettings,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        match self.producers.judge(&header) {
            Verdict::Append => {}
            Verdict::Fenced => return Err(AppendError::Fenced),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::Duplicate {
                offset,
                next_offset,
            } => {
                let waits = guard::holds(Guard::DuplicateWaits);
                return Ok(Appended {
                    offset,
                    next_offset: if waits { next_offset } else { 0 },
                    append_time: None,
                    duplicate: true,
                });
            }
        }
        if self.broken || self.sync_failed {
            let source = io::Error::other("an earlier append failed half-way, or a sync");
            return Err(Error::io("append to", &self.active.path)(source).into());
        }
        let append_time = settings.append_time.then_some(now_ms);
        let active = &mut self.active;
        let stamp = Stamp::new(batch, &mut header, active.next_offset, append_time);
        if let Err(error) = active.file.append(&mut stamp.parts(batch)) {
            self.broken = active.file.truncate(active.size).is_err();
            return Err(Error::io("append to", &active.path)(error).into());
        }
        active.index.note(&header, active.size as u32);
        active.size += header.size as u64;
        active.next_offset = header.next_offset();
        active.began_ms.get_or_insert(now_ms);
        self.producers.note(&header, now_ms);
        let (offset, next_offset) = (header.base_offset, header.next_offset());
        Ok(Appended {
            offset,
            next_offset,
            append_time,
            duplicate: false,
        })
    }

    /// Whether a batch of `size` bytes belongs into a new segment, or has to wait for one.
    pub(crate) fn is_full(&self, size: usize, settings: &LogSettings, now_ms: i64) -> bool {
        let active = &self.active;
        let old = active
            .began_ms
            .is_some_and(|began| now_ms - began > settings.roll_ms());
        // The index counts in 32 bits.
        let far = active.next_offset - active.base > i64::from(i32::MAX);
        let too_much = active.size + size as u64 > settings.segment_bytes;
        self.is_rolling || active.size > 0 && (too_much || old || far)
    }

    fn refuse_after_failed_sync(&self) -> Result<(), Error> {
        if !self.sync_failed {
            return Ok(());
        }
        let source = io::Error::other("an earlier sync failed");
        Err(Error::Sync {
            path: self.active.path.clone(),
            source,
        })
    }

    /// What to sync, `None` when all of it is.
    pub(crate) fn sync_job(&self) -> Result<Option<SyncJob>, Error> {
        self.refuse_after_failed_sync()?;
        let (file, path, end) = (
            self.active.file.clone(),
            self.active.path.clone(),
            self.end(),
        );
        Ok((end.offset != self.synced.offset).then_some(SyncJob { file, path, end }))
    }

    /// Takes note of how a sync ended, before the next one of the file begins.
    pub(crate) fn end_sync(&mut self, job: SyncJob, synced: io::Result<()>) -> Result<(), Error> {
        if let Err(source) = synced {
            self.sync_failed |= guard::holds(Guard::FailedSyncIsFatal);
            return Err(Error::Sync {
                path: job.path,
                source,
            });
        }
        self.set_synced(job.end);
        Ok(())
    }

    /// Moves the synced end forward.
    pub(crate) fn set_synced(&mut self, end: Point) {
        self.synced = self.synced.max(end);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// To be told when the folder was moved.
    pub(crate) fn moved_to(&mut self, folder: &Path) {
        self.folder = folder.to_owned();
        self.active.path = segment_path(folder, self.active.base);
        for segment in &mut self.closed {
            *segment = Arc::new(segment.moved_to(folder));
        }
    }

    pub(crate) fn end(&self) -> Point {
        Point {
            offset: self.active.next_offset,
            segment: self.active.base,
            position: self.active.size,
        }
    }

    pub(crate) fn synced(&self) -> Point {
        self.synced
    }

    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            start_offset: self.start_offset,
            synced: self.synced,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.size).sum::<u64>() + self.active.size
    }

    pub(crate) fn segments(&self) -> usize {
        self.closed.len() + 1
    }

    pub(crate) fn producers(&self) -> impl Iterator<Item = KnownProducer> {
        self.producers.known()
    }

    pub(crate) fn expire_producers(&mut self, before_ms: i64) {
        self.producers.expire(before_ms);
    }

    /// Moves the start forward to `offset`, which is at most the synced end.
    pub(crate) fn delete_before(&mut self, offset: i64) {
        self.start_offset = self.start_offset.max(offset.min(self.synced.offset));
    }
}

/// For those who look from outside: whether records may be missing in the segment that begins at
/// an offset.
pub(crate) fn holes(disk: &dyn Disk, folder: &Path) -> Result<impl Fn(i64) -> bool, Error> {
    let border = Border::load(disk, folder)?;
    Ok(move |base| border.holes_at(base) == scan::Holes::Allowed)
}

pub(crate) fn producers_path(folder: &Path, offset: i64) -> PathBuf {
    folder.join(format!("{offset:020}.producers"))
}
