//! Batches of one segment, found and not read yet.

use std::io;
use std::sync::Arc;

use super::order::{Damage, Order, ReadError};
use super::scan::Holes;
use crate::batch::{self, Header};
use crate::file::{DiskFile, Extent};

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(super) file: Arc<dyn DiskFile>,
    /// The base of the segment.
    pub(crate) segment: i64,
    pub(crate) position: u64,
    pub(super) size: usize,
    /// What the first batch must be.
    pub(super) order: Order,
    /// The offset of what follows behind the last batch, where it is known.
    pub(super) until: Option<i64>,
}

impl Part {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Leaves nothing but the first `size` bytes, which are whole batches.
    pub(crate) fn cut(&mut self, size: usize) {
        self.size = size;
        // What follows was found wanting; it says nothing about them.
        self.until = Some(i64::MAX);
    }

    /// Fills `into`, which has its size; waits for the disk.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] where the batches are not what must be here. No sum is looked at but
    /// in doubt: what it covers is for who reads the records.
    pub(crate) fn read(&self, into: &mut [u8]) -> Result<(), ReadError> {
        Extent::new(self.file.clone(), self.position, self.size).read(into)?;
        let Some(sound) = self.damaged_from(into) else {
            return Ok(());
        };
        let damage = Damage {
            segment: self.segment,
            position: self.position + sound as u64,
        };
        Err(ReadError::Damaged { damage, sound })
    }

    /// The whole batches before any damage, as far as there are some.
    pub(crate) fn to_vec(&self) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; self.size];
        match self.read(&mut bytes) {
            Err(ReadError::Damaged { sound, .. }) if sound > 0 => bytes.truncate(sound),
            read => read?,
        }
        Ok(bytes)
    }

    fn damaged_from(&self, bytes: &[u8]) -> Option<usize> {
        let mut order = self.order;
        let (mut last, mut at) = (0, 0);
        while at < bytes.len() {
            let sound = Header::parse(&bytes[at..]).filter(|header| {
                order.follow(header)
                    && header.size <= bytes.len() - at
                    && self.until.is_none_or(|until| {
                        order.holes == Holes::Refused || order.next_offset <= until
                    })
            });
            let Some(header) = sound else {
                return Some(self.blame(&bytes[..at], last));
            };
            (last, at) = (at, at + header.size);
        }
        let ends_there = self
            .until
            .is_some_and(|until| order.holes.fit(order.next_offset, until));
        let sound = match ends_there {
            true => at,
            false => self.blame(bytes, last),
        };
        (sound < bytes.len()).then_some(sound)
    }

    /// How much of `before` is sound when something behind it is wrong. It may be its last batch
    /// that says so wrongly: its sum tells whether its length is right, and its offset is known
    /// where there are no holes. Where there may be some, nobody knows which of the two is wrong.
    fn blame(&self, before: &[u8], last: usize) -> usize {
        let is_sound = self.order.holes == Holes::Refused && batch::sum_is_right(&before[last..]);
        if is_sound { before.len() } else { last }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Io(error) => error,
            damaged => io::Error::new(io::ErrorKind::InvalidData, damaged),
        }
    }
}
