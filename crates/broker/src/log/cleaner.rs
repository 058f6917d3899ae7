//! Compaction: of each key only the last record stays, as Kafka's `LogCleaner` does it.
//!
//! A log has a clean part, in which each key stands once, and a dirty part behind it. A pass
//! reads keys and offsets of the dirty part into a map of bounded size, then writes the segments
//! from the first one on anew without the records that the map knows newer ones of. What did not
//! fit into the map stays dirty for the next pass. Nothing moves: what is left keeps its offset,
//! and the offsets of what went are not used again.
//!
//! | record | stays when |
//! |---|---|
//! | behind what the map covers | always |
//! | without a key | never: it is from before the topic was compacted |
//! | with a value | the map knows no newer one of its key |
//! | a tombstone | likewise, until its batch's delete horizon, which the first pass that keeps it sets |
//!
//! A batch without records stays, empty, while it is the last one of a producer that is still
//! remembered, and as the last one of a segment: so segments follow each other without a hole,
//! and one that is missing is noticed.
//!
//! All reading and writing is done outside of the log's lock, on closed segments, which are
//! replaced as [`swap`] describes.

mod border;
mod key_map;
mod rewrite;
mod swap;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) use border::Border;
use key_map::KeyMap;
pub(super) use swap::finish as finish_swaps;

use super::order::SoundBatches;
use super::walk::Walk;
use super::{Closed, Compaction, Log, LogSettings};
use crate::Error;
use crate::batch::{Header, Records, unpack};
use crate::file::Disk;

/// Keys that one pass can tell apart: 26 MB of memory.
const MOST_KEYS: usize = 7 << 17;

/// What there is to compact in a log.
#[derive(Debug)]
pub(crate) struct Cleaning {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    compaction: Compaction,
    segment_bytes: u64,
    /// From the oldest one up to the first that must stay as it is.
    segments: Vec<Arc<Closed>>,
    border: Border,
    dirty_from: i64,
    /// Behind the last one of `segments`.
    until: i64,
    /// The last offset of each producer that is remembered.
    last_of_producers: HashMap<i64, i64>,
}

/// Calls what it is given under the log's lock.
type OnLog<'a> = dyn Fn(&mut dyn FnMut(&mut Log)) + 'a;

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Everything that could be compacted is.
    Done,
    /// The map was full; another pass goes on from there.
    More,
    /// Something called it off.
    Stopped,
}

impl Log {
    /// What a pass would have to do; `None` when there is nothing that may be compacted.
    pub(crate) fn cleaning(&self, settings: &LogSettings, now_ms: i64) -> Option<Cleaning> {
        let compaction = settings.compaction?;
        let dirty_from = self.border.clean_to.max(self.start_offset);
        let is_too_young = |segment: &Closed| {
            let lag = compaction.min_compaction_lag_ms;
            segment.next_offset > dirty_from
                && lag > 0
                && segment.newest > now_ms.saturating_sub(lag)
        };
        let segments: Vec<_> = self
            .closed
            .iter()
            .take_while(|segment| !is_too_young(segment))
            .cloned()
            .collect();
        let until = segments.last()?.next_offset;
        (until > dirty_from).then(|| Cleaning {
            disk: self.disk.clone(),
            folder: self.folder.clone(),
            compaction,
            segment_bytes: settings.segment_bytes,
            segments,
            border: self.border,
            dirty_from,
            until,
            last_of_producers: self
                .producers
                .known()
                .map(|producer| (producer.id, producer.last_offset))
                .collect(),
        })
    }

    /// Puts a segment in the place of those that it was made from.
    fn replace(&mut self, old: &[Arc<Closed>], new: Closed) {
        let at = self
            .closed
            .iter()
            .position(|segment| Arc::ptr_eq(segment, &old[0]))
            .expect("nothing else takes segments away while a log is cleaned");
        self.closed.drain(at..at + old.len());
        self.closed.insert(at, Arc::new(new));
    }
}

impl Cleaning {
    /// Whether a pass is worth it by Kafka's rules: enough of the log is dirty, or some of it has
    /// been for too long.
    pub(crate) fn is_due(&self, now_ms: i64) -> Result<bool, Error> {
        let bytes = |segments: &mut dyn Iterator<Item = &Arc<Closed>>| -> u64 {
            segments.map(|segment| segment.size).sum()
        };
        let clean = bytes(
            &mut self
                .segments
                .iter()
                .filter(|segment| segment.base < self.dirty_from),
        );
        let dirty = bytes(&mut self.dirty());
        if dirty as f64 / (clean + dirty).max(1) as f64 > self.compaction.min_cleanable_dirty_ratio
        {
            return Ok(true);
        }
        let before = now_ms.saturating_sub(self.compaction.max_compaction_lag_ms.max(0));
        if self.compaction.max_compaction_lag_ms == i64::MAX || dirty == 0 {
            return Ok(false);
        }
        for segment in self.dirty() {
            let mut walk = Walk::new(&*segment.file, 0, segment.size);
            let first = walk.next().map_err(Error::io("read", &segment.path))?;
            if first.is_some_and(|(_, header)| (1..before).contains(&header.max_timestamp)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn batches<'a>(&self, segment: &'a Closed) -> SoundBatches<'a> {
        SoundBatches::of(segment, self.border.holes_at(segment.base))
    }

    fn dirty(&self) -> impl Iterator<Item = &Arc<Closed>> {
        self.segments
            .iter()
            .filter(|segment| segment.next_offset > self.dirty_from)
    }

    /// Compacts, as long as `goes_on` says so; waits for the disk. `on_log` is called with what is
    /// to be done under the log's lock, which is little.
    pub(crate) fn run(
        self,
        now_ms: i64,
        goes_on: &dyn Fn() -> bool,
        on_log: &OnLog<'_>,
    ) -> Result<Pass, Error> {
        self.run_with(MOST_KEYS, now_ms, goes_on, on_log)
    }

    fn run_with(
        self,
        most_keys: usize,
        now_ms: i64,
        goes_on: &dyn Fn() -> bool,
        on_log: &OnLog<'_>,
    ) -> Result<Pass, Error> {
        let Some((newest, clean_to)) = self.map(most_keys, goes_on)? else {
            return Ok(Pass::Stopped);
        };
        // Before there are holes, the next open must know that there may be.
        let mut border = self.border.with_holes_to(self.until);
        if border != self.border {
            border.save(&*self.disk, &self.folder)?;
            on_log(&mut |log| log.border = border);
        }
        for group in self.groups(clean_to) {
            let written = rewrite::rewrite(&self, group, &newest, clean_to, now_ms, goes_on);
            let rewritten = match written {
                Ok(rewrite::Rewritten::Stopped) => {
                    swap::discard(&*self.disk, &group[0].path)?;
                    return Ok(Pass::Stopped);
                }
                Ok(rewrite::Rewritten::Unchanged) => {
                    swap::discard(&*self.disk, &group[0].path)?;
                    continue;
                }
                Ok(rewrite::Rewritten::Into(rewritten)) => rewritten,
                Err(error) => {
                    // It may be the disk that is full.
                    let _ = swap::discard(&*self.disk, &group[0].path);
                    return Err(error);
                }
            };
            let mut new = Some(swap::swap(&self.disk, group, rewritten)?);
            on_log(&mut |log| {
                if let Some(new) = new.take() {
                    log.replace(group, new);
                }
            });
        }
        border.clean_to = clean_to;
        border.save(&*self.disk, &self.folder)?;
        on_log(&mut |log| log.border = border);
        Ok(if clean_to < self.until {
            Pass::More
        } else {
            Pass::Done
        })
    }

    /// The newest offset of each key in the dirty part, and how far the map covers it; `None`
    /// when it was called off.
    fn map(
        &self,
        most_keys: usize,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<(KeyMap, i64)>, Error> {
        let mut newest = KeyMap::new(most_keys);
        for segment in self.dirty() {
            let mut batches = self.batches(segment);
            loop {
                if !goes_on() {
                    return Ok(None);
                }
                let at = batches.position();
                let Some((header, batch)) = batches.next()? else {
                    break;
                };
                if header.next_offset() <= self.dirty_from {
                    continue;
                }
                if let Some(full_at) = self.map_batch(&mut newest, &header, batch, segment, at)? {
                    return Ok(Some((newest, full_at)));
                }
            }
        }
        Ok(Some((newest, self.until)))
    }

    /// Gives the offset of the first record for which there was no room.
    fn map_batch(
        &self,
        newest: &mut KeyMap,
        header: &Header,
        batch: &[u8],
        segment: &Closed,
        at: u64,
    ) -> Result<Option<i64>, Error> {
        let unpacked = unpack(header, batch).map_err(|error| unreadable(segment, at, &error))?;
        for record in Records::new(header, &unpacked) {
            let record = record.ok_or_else(|| unreadable(segment, at, &"a record is cut short"))?;
            let Some(key) = record.key.filter(|_| record.offset >= self.dirty_from) else {
                continue;
            };
            if !newest.note(key, record.offset) {
                return Ok(Some(record.offset));
            }
        }
        Ok(None)
    }

    /// The segments that begin before `clean_to`, side by side as they become one: as many as
    /// make no more than a full segment now. Theirs would else become smaller with each pass.
    fn groups(&self, clean_to: i64) -> Vec<&[Arc<Closed>]> {
        let count = self
            .segments
            .partition_point(|segment| segment.base < clean_to);
        let mut rest = &self.segments[..count];
        let mut groups = Vec::new();
        while let Some(first) = rest.first() {
            let mut bytes = 0;
            let fits = rest
                .iter()
                .take_while(|segment| {
                    bytes += segment.size;
                    // The index counts in 32 bits.
                    let far = segment.next_offset - first.base > i64::from(i32::MAX);
                    bytes <= self.segment_bytes && !far
                })
                .count();
            let (group, others) = rest.split_at(fits.max(1));
            groups.push(group);
            rest = others;
        }
        groups
    }
}

fn unreadable(segment: &Closed, at: u64, what: &dyn std::fmt::Display) -> Error {
    let what = format!("the records of a batch cannot be read: {what}");
    Error::corrupt(&segment.path, at, what)
}
