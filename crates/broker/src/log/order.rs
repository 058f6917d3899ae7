//! The order in which a segment's batches must follow, by which a rotten header is told.
//!
//! No sum covers a batch's first 21 bytes: where it begins, how long it is, of which format. What
//! the log knows stands in for it. Offsets have no holes, unless the segment was compacted; a part
//! of a segment begins and ends at offsets that are known; and a wrong length leads to what is no
//! batch, or not the next one.

use std::io;
use std::path::Path;

use super::index::Spot;
use super::scan::Holes;
use super::segment::{Active, Closed};
use super::walk::{Batches, Walk};
use crate::Error;
use crate::batch::{self, Header};
use crate::file::DiskFile;

/// Where something is that is not the batch which must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Damage {
    /// The base of the segment.
    pub(crate) segment: i64,
    pub(crate) position: u64,
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(
        "the segment of offset {segment} is corrupt at byte {position}",
        segment = damage.segment,
        position = damage.position
    )]
    Damaged {
        damage: Damage,
        /// Bytes of what was to be read that are sound, before the damage.
        sound: usize,
    },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is known of the batch that comes next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) next_offset: i64,
    pub(super) holes: Holes,
}

impl Order {
    /// Goes on behind a batch; false if that one cannot stand here.
    pub(super) fn follow(&mut self, header: &Header) -> bool {
        let fits = self.holes.fit(self.next_offset, header.base_offset);
        self.next_offset = header.next_offset();
        fits
    }
}

/// A walk that ends at its limit and nowhere else.
#[derive(Debug)]
pub(super) struct OrderedWalk<'a> {
    walk: Walk<'a>,
    order: Order,
    segment: i64,
    position: u64,
    limit: u64,
}

impl<'a> OrderedWalk<'a> {
    pub(super) fn new(
        file: &'a dyn DiskFile,
        segment: i64,
        from: Spot,
        limit: u64,
        holes: Holes,
    ) -> Self {
        let position = u64::from(from.position);
        OrderedWalk {
            walk: Walk::new(file, position, limit),
            order: Order {
                next_offset: from.offset,
                holes,
            },
            segment,
            position,
            limit,
        }
    }

    /// As [`Walk::in_steps_of`].
    pub(super) fn in_steps_of(mut self, bytes: usize) -> Self {
        self.walk = self.walk.in_steps_of(bytes);
        self
    }

    /// The next batch and where it begins; `None` at the limit.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Header)>, ReadError> {
        if self.position >= self.limit {
            return Ok(None);
        }
        let found = self.walk.next()?.filter(|(position, header)| {
            self.order.follow(header) && position + header.size as u64 <= self.limit
        });
        let Some((position, header)) = found else {
            return Err(self.damaged());
        };
        self.position = position + header.size as u64;
        Ok(Some((position, header)))
    }

    /// Behind the last batch that was given there must be one.
    pub(super) fn damaged(&self) -> ReadError {
        let damage = Damage {
            segment: self.segment,
            position: self.position,
        };
        ReadError::Damaged { damage, sound: 0 }
    }
}

/// All batches of a segment, each as it was written, or an error.
#[derive(Debug)]
pub(super) struct SoundBatches<'a> {
    path: &'a Path,
    batches: Batches<'a>,
    order: Order,
    /// The offset behind the last one.
    until: i64,
}

impl<'a> SoundBatches<'a> {
    pub(super) fn of(segment: &'a Closed, holes: Holes) -> Self {
        SoundBatches {
            path: &segment.path,
            batches: Batches::new(&*segment.file, segment.size),
            order: Order {
                next_offset: segment.base,
                holes,
            },
            until: segment.next_offset,
        }
    }

    pub(super) fn of_active(segment: &'a Active) -> Self {
        SoundBatches {
            path: &segment.path,
            batches: Batches::new(&*segment.file, segment.size),
            order: Order {
                next_offset: segment.base,
                holes: Holes::Refused,
            },
            until: segment.next_offset,
        }
    }

    /// Behind the last batch that was given.
    pub(super) fn position(&self) -> u64 {
        self.batches.position()
    }

    pub(super) fn next(&mut self) -> Result<Option<(Header, &[u8])>, Error> {
        let (path, at, limit) = (self.path, self.batches.position(), self.batches.limit);
        let corrupt = |what: &str| Err(Error::corrupt(path, at, what));
        match self.batches.next().map_err(Error::io("read", path))? {
            Some((header, batch)) => {
                let is_sound = self.order.follow(&header)
                    && header.next_offset() <= self.until
                    && batch::sum_is_right(batch);
                match is_sound {
                    true => Ok(Some((header, batch))),
                    false => corrupt("a damaged batch"),
                }
            }
            None if at < limit => corrupt("no batch is here"),
            None if self.order.next_offset != self.until => {
                corrupt("the segment ends at another offset than it did")
            }
            None => Ok(None),
        }
    }
}
