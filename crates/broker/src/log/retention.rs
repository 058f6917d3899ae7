//! What time and size no longer keep.
//!
//! Kafka's rules: the oldest segments go, one after the other, while
//!
//! - all their records are before the log's start (with any cleanup policy),
//! - or the log without them is still not smaller than `retention.bytes`,
//! - or the largest timestamp in them is more than `retention.ms` ago. Where there is none, as in
//!   a segment of which a repair left empty batches, the time counts at which the file was last
//!   written (`LogSegment.largestTimestamp`): else it would keep all that is behind it.
//!
//! The segment that is written goes too when it is next, if it is not empty; it is closed first.

use std::sync::Arc;

use super::{Closed, Log, LogSettings};
use crate::file::DiskFile;

impl Log {
    /// What retention would delete; cheap.
    pub(crate) fn expired(&self, settings: &LogSettings, now_ms: i64) -> Expired {
        let mut excess = match settings.retention_bytes {
            bytes @ 0.. if settings.deletes => self.bytes().checked_sub(bytes as u64),
            _ => None,
        };
        let mut goes = |size: u64, file: &dyn DiskFile, newest: i64, is_deleted: bool| {
            let too_much = excess.is_some_and(|excess| excess >= size);
            let goes = too_much || is_deleted || is_old(file, newest, settings, now_ms);
            if goes {
                excess = excess.map(|excess| excess.saturating_sub(size));
            }
            goes
        };
        let closed = self
            .closed
            .iter()
            .take_while(|segment| {
                let is_deleted = segment.next_offset <= self.start_offset;
                goes(segment.size, &*segment.file, segment.newest, is_deleted)
            })
            .count();
        let last = &self.active;
        let active = closed == self.closed.len()
            && last.size > 0
            && goes(last.size, &*last.file, last.index.newest(), false);
        Expired { closed, active }
    }

    /// Takes the expired segments that are closed out of the log and returns them; the caller
    /// makes the new start durable, then removes the files.
    pub(crate) fn retire(&mut self, settings: &LogSettings, now_ms: i64) -> Vec<Arc<Closed>> {
        let count = self.expired(settings, now_ms).closed;
        let taken: Vec<_> = self.closed.drain(..count).collect();
        if let Some(last) = taken.last() {
            self.start_offset = self.start_offset.max(last.next_offset);
        }
        taken
    }
}

/// How many closed segments expired, and whether the active one did after them, which is closed
/// first.
pub(crate) struct Expired {
    pub(crate) closed: usize,
    pub(crate) active: bool,
}

fn is_old(file: &dyn DiskFile, newest: i64, settings: &LogSettings, now_ms: i64) -> bool {
    if !settings.deletes || settings.retention_ms < 0 {
        return false;
    }
    let newest = match newest {
        0.. => Some(newest),
        _ => file.modified_ms().ok(),
    };
    newest.is_some_and(|newest| now_ms.saturating_sub(newest) > settings.retention_ms)
}
