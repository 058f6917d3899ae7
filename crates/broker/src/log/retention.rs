//! What time and size no longer keep.
//!
//! Kafka's rules: the oldest segments go, one after the other, while
//!
//! - all their records are before the log's start (with any cleanup policy),
//! - or the log without them is still not smaller than `retention.bytes`,
//! - or the largest timestamp in them is more than `retention.ms` ago.
//!
//! The segment that is written goes too when it is next, if it is not empty; it is closed first.
//! A segment without any timestamp does not expire by time: nothing says how old it is.

use std::sync::Arc;

use super::{Closed, Log, LogSettings};

impl Log {
    /// What retention would delete; cheap.
    pub(crate) fn expired(&self, settings: &LogSettings, now_ms: i64) -> Expired {
        let mut excess = match settings.retention_bytes {
            bytes @ 0.. if settings.deletes => self.bytes().checked_sub(bytes as u64),
            _ => None,
        };
        let mut goes = |size: u64, newest: i64, is_deleted: bool| {
            let too_much = excess.is_some_and(|excess| excess >= size);
            let goes = too_much || is_deleted || is_old(newest, settings, now_ms);
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
                goes(segment.size, segment.newest, is_deleted)
            })
            .count();
        let active = closed == self.closed.len()
            && self.active.size > 0
            && goes(self.active.size, self.active.index.newest(), false);
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

fn is_old(newest: i64, settings: &LogSettings, now_ms: i64) -> bool {
    settings.deletes
        && settings.retention_ms >= 0
        && newest >= 0
        && now_ms.saturating_sub(newest) > settings.retention_ms
}
