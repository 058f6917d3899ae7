//! Reading: where something is (answered under the lock), and what is there (read outside).

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::walk::Walk;
use super::{Closed, Log};
use crate::batch::{HEADER, Header, Sketches};
use crate::file::DiskFile;

/// Reading starts up to this much before what is wanted, because the index is sparse.
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
    /// Records before it are deleted.
    start_offset: i64,
}

#[derive(Debug)]
enum From {
    Position(u32),
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
    /// Where to read from `offset` on; `None` at the high watermark.
    pub(crate) fn locate(&self, offset: i64) -> Result<Option<Place>, OutOfRange> {
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
            None => self.place_in_active(self.active.index.floor(offset)),
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
            places.push(self.place_in_active(self.active.index.floor_by_time(timestamp)));
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
            start_offset: self.start_offset,
        }
    }

    fn place_in_active(&self, from: u32) -> Place {
        Place {
            file: self.active.file.clone(),
            from: From::Position(from),
            limit: self.synced_in_active(),
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
            From::Position(position) => self.limit.saturating_sub(u64::from(*position)) <= RECENT,
            From::Saved(_) => false,
        }
    }

    /// Whole batches from the one that holds `offset` on, up to `max` bytes. With `at_least_one`,
    /// the first batch is given even if it is larger.
    pub(crate) fn read(&self, offset: i64, max: usize, at_least_one: bool) -> io::Result<Bytes> {
        let mut position = match &self.from {
            From::Position(position) => u64::from(*position),
            From::Saved(segment) => u64::from(segment.floor(offset)?),
        };
        let mut wanted = max.saturating_add(LEAD);
        loop {
            let mut bytes = self.fill(position, wanted)?;
            let mut skipped = 0;
            let first = loop {
                let Some(header) = Header::parse(&bytes[skipped..]) else {
                    break None;
                };
                if header.next_offset() > offset {
                    break Some(header);
                }
                skipped += header.size;
                if skipped >= bytes.len() {
                    break None;
                }
            };
            let Some(first) = first else {
                // Every batch seen is before the wanted one; go on behind them.
                if skipped == 0 || position + skipped as u64 + HEADER as u64 > self.limit {
                    return Ok(Bytes::new());
                }
                position += skipped as u64;
                continue;
            };
            if first.size > max && !at_least_one {
                return Ok(Bytes::new());
            }
            if first.size > bytes.len() - skipped {
                if position + (skipped + first.size) as u64 > self.limit {
                    return Ok(Bytes::new());
                }
                position += skipped as u64;
                wanted = first.size.max(max);
                continue;
            }
            let _ = bytes.split_to(skipped);
            bytes.truncate(whole_batches(&bytes, max.max(first.size)));
            return Ok(bytes.freeze());
        }
    }

    /// The first record here that is not older than `timestamp`.
    pub(crate) fn find_time(&self, timestamp: i64) -> io::Result<Option<Found>> {
        let position = match &self.from {
            From::Position(position) => u64::from(*position),
            From::Saved(segment) => u64::from(segment.floor_by_time(timestamp)?),
        };
        let mut walk = Walk::new(&*self.file, position, self.limit);
        while let Some((position, header)) = walk.next()? {
            if header.max_timestamp < timestamp || header.next_offset() <= self.start_offset {
                continue;
            }
            let batch = self.fill(position, header.size)?;
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
    pub(crate) fn newest(&self) -> io::Result<Option<i64>> {
        let mut newest = None;
        let mut walk = Walk::new(&*self.file, 0, self.limit);
        while let Some((position, header)) = walk.next()? {
            let may_be_newer = newest.is_none_or(|newest| header.max_timestamp > newest);
            if !may_be_newer || header.records == 0 || header.next_offset() <= self.start_offset {
                continue;
            }
            let batch = self.fill(position, header.size)?;
            for record in Sketches::new(&header, &batch)? {
                let record = record?;
                if record.offset >= self.start_offset {
                    newest = newest.max(Some(record.timestamp));
                }
            }
        }
        Ok(newest)
    }

    fn fill(&self, position: u64, wanted: usize) -> io::Result<BytesMut> {
        let size = self.limit.saturating_sub(position).min(wanted as u64) as usize;
        let mut bytes = BytesMut::zeroed(size);
        let read = self.file.read_at(&mut bytes, position)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// How many bytes of `bytes` are whole batches, at most `max`.
fn whole_batches(bytes: &[u8], max: usize) -> usize {
    let mut end = 0;
    while let Some(header) = Header::parse(&bytes[end..]) {
        let next = end + header.size;
        if next > bytes.len() || next > max {
            break;
        }
        end = next;
    }
    end
}
