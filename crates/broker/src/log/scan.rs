//! A segment read from its beginning, with every sum checked.

use std::path::Path;

use super::index::Index;
use super::walk::Batches;
use crate::Error;
use crate::batch;
use crate::file::DiskFile;

/// What a segment was found to hold.
pub(super) struct Scan {
    pub(super) index: Index,
    pub(super) next_offset: i64,
    /// Where the first bad batch begins.
    pub(super) bad: Option<u64>,
}

/// Whether offsets may be missing between two batches, as they may when they were compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holes {
    Allowed,
    Refused,
}

impl Holes {
    /// Whether a batch may begin at `offset` behind one that ends before `expected`.
    pub(super) fn fit(self, expected: i64, offset: i64) -> bool {
        offset == expected || self == Holes::Allowed && offset > expected
    }
}

/// Reads the segment of `size` bytes that begins at the offset `base`.
pub(super) fn scan(
    file: &dyn DiskFile,
    path: &Path,
    base: i64,
    size: u64,
    holes: Holes,
) -> Result<Scan, Error> {
    let mut scan = Scan {
        index: Index::new(base),
        next_offset: base,
        bad: None,
    };
    let mut batches = Batches::new(file, size);
    loop {
        let position = batches.position();
        let Some((header, batch)) = batches.next().map_err(Error::io("read", path))? else {
            break;
        };
        let in_place = holes.fit(scan.next_offset, header.base_offset);
        if !in_place || !batch::sum_is_right(batch) {
            scan.bad = Some(position);
            return Ok(scan);
        }
        scan.index.note(&header, position as u32);
        scan.next_offset = header.next_offset();
    }
    scan.bad = Some(batches.position()).filter(|end| *end < size);
    Ok(scan)
}
