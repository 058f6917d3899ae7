//! Reading: where something is (answered under the lock), and what is there (read outside).

use std::io;
use std::sync::Arc;

use super::index::Spot;
use super::order::{Damage, Order, OrderedWalk, ReadError};
use super::part::Part;
use super::scan::Holes;
use super::walk::{Walk, sum_is_right};
use super::{Closed, Log};
use crate::batch::Sketches;
use crate::file::{DiskFile, Extent};

/// Headers are looked at from up to this much before what is wanted, because the index is sparse.
const LEAD: usize = 8 << 10;
/// What was written this recently is in the page cache, so that reading it takes no disk.
const RECENT: u64 = 8 << 20;

/// A part of one segment, to look for something in.
#[derive(Debug)]
pub(crate) struct Place {
    file: Arc<dyn DiskFile>,
    from: From,
    /// Nothing behind it may be read: it is not synced, or not there.
    limit: u64,
    /// The offset behind the limit.
    end_offset: i64,
    /// The base of the segment.
    segment: i64,
    holes: Holes,
    /// Records before it are deleted.
    start_offset: i64,
}

#[derive(Debug)]
enum From {
    /// Batches begin at both: not far before what is wanted, and not far before its end.
    Position { first: Spot, near_last: Spot },
    /// The index of a closed segment is a file as well.
    Saved(Arc<Closed>),
}

/// The offset is below the first one kept or above the high watermark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

/// A record, found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

impl Log {
    /// Where to read about `max` bytes from `offset` on; `None` at the high watermark.
    pub(crate) fn locate(&self, offset: i64, max: usize) -> Result<Option<Place>, OutOfRange> {
        if offset < self.start_offset || offset > self.synced.offset {
            return Err(OutOfRange);
        }
        if offset == self.synced.offset {
            return Ok(None);
        }
        let at = self
            .closed
            .partition_point(|segment| segment.next_offset <= offset);
        Ok(Some(match self.closed.get(at) {
            Some(segment) => self.place_in(segment),
            None => self.place_in_active(self.active.index.floor(offset), max),
        }))
    }

    /// Where the first record may be that is not older than `timestamp`, in this order.
    pub(crate) fn locate_time(&self, timestamp: i64) -> Vec<Place> {
        let closed = self
            .closed
            .iter()
            .filter(|segment| segment.newest >= timestamp);
        let mut places: Vec<_> = closed.map(|segment| self.place_in(segment)).collect();
        if self.active.index.newest() >= timestamp {
            places.push(self.place_in_active(self.active.index.floor_by_time(timestamp), 0));
        }
        places
    }

    /// The segment that says it has the largest timestamp, with this timestamp; the first one if
    /// several do. `None` for a log without timestamps.
    pub(crate) fn locate_newest(&self) -> Option<(i64, Place)> {
        let newest = self
            .closed
            .iter()
            .map(|segment| segment.newest)
            .chain([self.active.index.newest()])
            .max()
            .filter(|newest| *newest >= 0)?;
        Some((newest, self.locate_time(newest).into_iter().next()?))
    }

    fn place_in(&self, segment: &Arc<Closed>) -> Place {
        Place {
            file: segment.file.clone(),
            from: From::Saved(segment.clone()),
            // It is synced, like all that are closed; compacted since, it may be of any size.
            limit: segment.size,
            end_offset: segment.next_offset,
            segment: segment.base,
            holes: self.border.holes_at(segment.base),
            start_offset: self.start_offset,
        }
    }

    fn place_in_active(&self, first: Spot, max: usize) -> Place {
        let most = u64::from(first.position).saturating_add(max as u64);
        Place {
            file: self.active.file.clone(),
            from: From::Position {
                first,
                near_last: self.active.index.floor_by_position(most),
            },
            limit: self.synced_in_active(),
            end_offset: self.synced.offset,
            segment: self.active.base,
            holes: Holes::Refused,
            start_offset: self.start_offset,
        }
    }

    /// How much of the segment that is written is synced.
    fn synced_in_active(&self) -> u64 {
        if self.synced.segment == self.active.base {
            self.synced.position
        } else {
            0
        }
    }
}

impl Place {
    /// Whether reading here is unlikely to wait for the disk.
    pub(crate) fn is_recent(&self) -> bool {
        match &self.from {
            From::Position { first, .. } => {
                self.limit.saturating_sub(u64::from(first.position)) <= RECENT
            }
            From::Saved(_) => false,
        }
    }

    /// Whole batches from the one that holds `offset` on, up to `max` bytes. With `at_least_one`,
    /// the first batch is given even if it is larger.
    pub(crate) fn find(
        &self,
        offset: i64,
        max: usize,
        at_least_one: bool,
    ) -> Result<Option<Part>, ReadError> {
        let from = match &self.from {
            From::Position { first, .. } => *first,
            From::Saved(segment) => segment.floor(offset)?,
        };
        let mut walk = self.walk(from).in_steps_of(LEAD);
        let mut next_offset = from.offset;
        let (position, first) = loop {
            match walk.next()? {
                Some((position, header)) if header.next_offset() > offset => {
                    break (position, header);
                }
                Some((_, header)) => next_offset = header.next_offset(),
                // The log says that the offset is here.
                None => return Err(walk.damaged()),
            }
        };
        if first.size > max && !at_least_one {
            return Ok(None);
        }
        let behind_first = position + first.size as u64;
        let (end, until) = self.last_end(behind_first, position.saturating_add(max as u64))?;
        // More than was asked for gets memory, so its length, which is in no sum, is not taken on
        // trust: what follows must bear it out, or else what the sum is over.
        let is_followed = until.is_some_and(|next| self.holes.fit(first.next_offset(), next));
        if first.size > max && !is_followed && !sum_is_right(&*self.file, position, first.size)? {
            let segment = self.segment;
            let damage = Damage { segment, position };
            return Err(ReadError::Damaged { damage, sound: 0 });
        }
        Ok(Some(Part {
            file: self.file.clone(),
            segment: self.segment,
            position,
            size: (end - position) as usize,
            order: Order {
                next_offset,
                holes: self.holes,
            },
            until,
        }))
    }

    fn walk(&self, from: Spot) -> OrderedWalk<'_> {
        OrderedWalk::new(&*self.file, self.segment, from, self.limit, self.holes)
    }

    /// Where the last batch ends that ends before `most`, if that is behind `end`; and the offset
    /// that follows there, unless no batch does.
    fn last_end(&self, mut end: u64, most: u64) -> io::Result<(u64, Option<i64>)> {
        if most >= self.limit || end >= self.limit {
            return Ok((self.limit, Some(self.end_offset)));
        }
        let near = match &self.from {
            From::Position { near_last, .. } => *near_last,
            From::Saved(segment) => segment.floor_by_position(most)?,
        };
        if (end..=most).contains(&u64::from(near.position)) {
            end = u64::from(near.position);
        }
        // What comes here is looked at when it was read; what follows it, when that is.
        let mut walk = Walk::new(&*self.file, end, self.limit).in_steps_of(LEAD);
        while let Some((position, header)) = walk.next()? {
            let behind = position + header.size as u64;
            if behind > most {
                return Ok((end, Some(header.base_offset)));
            }
            end = behind;
        }
        Ok((end, None))
    }

    /// The bytes of what [`Place::find`] finds, up to any damage behind its first batch.
    #[cfg(test)]
    pub(crate) fn read(
        &self,
        offset: i64,
        max: usize,
        at_least_one: bool,
    ) -> Result<bytes::Bytes, ReadError> {
        match self.find(offset, max, at_least_one)? {
            Some(part) => Ok(part.to_vec()?.into()),
            None => Ok(bytes::Bytes::new()),
        }
    }

    /// The first record here that is not older than `timestamp`.
    pub(crate) fn find_time(&self, timestamp: i64) -> Result<Option<Found>, ReadError> {
        let from = match &self.from {
            From::Position { first, .. } => *first,
            From::Saved(segment) => segment.floor_by_time(timestamp)?,
        };
        let mut walk = self.walk(from);
        while let Some((position, header)) = walk.next()? {
            if header.max_timestamp < timestamp || header.next_offset() <= self.start_offset {
                continue;
            }
            let batch = self.batch(position, header.size)?;
            for record in Sketches::new(&header, &batch)? {
                let record = record?;
                if record.offset >= self.start_offset && record.timestamp >= timestamp {
                    return Ok(Some(Found {
                        offset: record.offset,
                        timestamp: record.timestamp,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The largest timestamp of all records here.
    pub(crate) fn newest(&self) -> Result<Option<i64>, ReadError> {
        let mut newest = None;
        let mut walk = self.walk(Spot::beginning(self.segment));
        while let Some((position, header)) = walk.next()? {
            let may_be_newer = newest.is_none_or(|newest| header.max_timestamp > newest);
            if !may_be_newer || header.records == 0 || header.next_offset() <= self.start_offset {
                continue;
            }
            let batch = self.batch(position, header.size)?;
            for record in Sketches::new(&header, &batch)? {
                let record = record?;
                if record.offset >= self.start_offset {
                    newest = newest.max(Some(record.timestamp));
                }
            }
        }
        Ok(newest)
    }

    fn batch(&self, position: u64, size: usize) -> io::Result<Vec<u8>> {
        Extent::new(self.file.clone(), position, size).to_vec()
    }
}
