//! The sparse index of one segment: an entry every few KiB, from offset and time to position.
//!
//! While a segment is written its index is in memory. When it is closed the index is written
//! beside it, with a footer that says what the segment must be, and is searched there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::batch::Header;
use crate::file::{self, Disk, DiskFile, Mode};

/// Bytes of a segment between two entries.
const INTERVAL: u32 = 4096;
const ENTRY: usize = 16;
const FOOTER: usize = 40;
const MAGIC: u32 = 0x6c69_6478;

/// A batch begins at `position`; its first offset is the segment's base plus `relative`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) relative: u32,
    pub(crate) position: u32,
    /// The largest timestamp of all batches before this one, which makes it grow with position.
    newest_before: i64,
}

/// Where a batch begins, and the offset that is its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) offset: i64,
    pub(super) position: u32,
}

impl Spot {
    /// Of the segment that begins at `base`; where it was compacted, the first batch may have a
    /// later offset.
    pub(super) fn beginning(base: i64) -> Spot {
        Spot {
            offset: base,
            position: 0,
        }
    }
}

impl Entry {
    fn spot(&self, base: i64) -> Spot {
        Spot {
            offset: base + i64::from(self.relative),
            position: self.position,
        }
    }
}

/// What a closed segment holds, as its index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) next_offset: i64,
    /// The largest timestamp, -1 when there is none.
    pub(crate) newest: i64,
    pub(crate) size: u64,
}

/// An index that grows with its segment.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    base: i64,
    entries: Vec<Entry>,
    newest: i64,
}

impl Index {
    pub(crate) fn new(base: i64) -> Index {
        Index {
            base,
            entries: Vec::new(),
            newest: -1,
        }
    }

    /// Takes note of the batch at `position`; batches come in order.
    pub(crate) fn note(&mut self, header: &Header, position: u32) {
        let due = self
            .entries
            .last()
            .is_none_or(|last| position - last.position >= INTERVAL);
        if due {
            let relative = (header.base_offset - self.base) as u32;
            let newest_before = if self.entries.is_empty() {
                i64::MIN
            } else {
                self.newest
            };
            self.entries.push(Entry {
                relative,
                position,
                newest_before,
            });
        }
        self.newest = self.newest.max(header.max_timestamp);
    }

    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    /// Where to begin looking for an offset.
    pub(super) fn floor(&self, offset: i64) -> Spot {
        self.last(|entry| self.base + i64::from(entry.relative) <= offset)
    }

    /// Where to begin looking for the first timestamp that is not before `timestamp`.
    pub(super) fn floor_by_time(&self, timestamp: i64) -> Spot {
        self.last(|entry| entry.newest_before < timestamp)
    }

    /// Where some batch begins, not far before `position` or there.
    pub(super) fn floor_by_position(&self, position: u64) -> Spot {
        self.last(|entry| u64::from(entry.position) <= position)
    }

    /// The last entry for which `before` holds; it holds for a beginning of them.
    fn last(&self, before: impl Fn(&Entry) -> bool) -> Spot {
        let after = self.entries.partition_point(before);
        let begin = Spot::beginning(self.base);
        after
            .checked_sub(1)
            .map_or(begin, |at| self.entries[at].spot(self.base))
    }

    /// Writes the index beside its segment and makes it durable.
    pub(crate) fn save(
        &self,
        disk: &dyn Disk,
        path: &Path,
        next_offset: i64,
        size: u64,
    ) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY + FOOTER);
        for entry in &self.entries {
            bytes.extend(entry.relative.to_be_bytes());
            bytes.extend(entry.position.to_be_bytes());
            bytes.extend(entry.newest_before.to_be_bytes());
        }
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend((self.entries.len() as u32).to_be_bytes());
        bytes.extend(self.base.to_be_bytes());
        bytes.extend(next_offset.to_be_bytes());
        bytes.extend(self.newest.to_be_bytes());
        bytes.extend((size as u32).to_be_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        file::replace(disk, path, &bytes)
    }

    /// Reads a saved index; `None` when it is missing or not whole, and has to be made again.
    pub(crate) fn load(
        disk: &dyn Disk,
        path: &Path,
        base: i64,
    ) -> Result<Option<(Index, Summary)>, Error> {
        let Some(bytes) = file::read_whole(disk, path)? else {
            return Ok(None);
        };
        Ok(Self::decode(&bytes, base))
    }

    fn decode(bytes: &[u8], base: i64) -> Option<(Index, Summary)> {
        let (covered, sum) = bytes.split_last_chunk::<4>()?;
        let (list, footer) = covered.split_last_chunk::<{ FOOTER - 4 }>()?;
        let number =
            |at: usize| u32::from_be_bytes(footer[at..at + 4].try_into().expect("4 bytes"));
        let long = |at: usize| i64::from_be_bytes(footer[at..at + 8].try_into().expect("8 bytes"));
        let sound = crc32c::crc32c(covered) == u32::from_be_bytes(*sum)
            && number(0) == MAGIC
            && list.len() == number(4) as usize * ENTRY
            && long(8) == base;
        if !sound {
            return None;
        }
        let entries = list.chunks_exact(ENTRY).map(decode_entry).collect();
        let summary = Summary {
            next_offset: long(16),
            newest: long(24),
            size: u64::from(number(32)),
        };
        Some((
            Index {
                base,
                entries,
                newest: summary.newest,
            },
            summary,
        ))
    }
}

fn decode_entry(bytes: &[u8]) -> Entry {
    Entry {
        relative: u32::from_be_bytes(bytes[0..4].try_into().expect("4 bytes")),
        position: u32::from_be_bytes(bytes[4..8].try_into().expect("4 bytes")),
        newest_before: i64::from_be_bytes(bytes[8..16].try_into().expect("8 bytes")),
    }
}

/// The index of a closed segment, searched in its file so that it takes no memory.
#[derive(Debug)]
pub(crate) struct SavedIndex {
    file: Arc<dyn DiskFile>,
    base: i64,
}

impl SavedIndex {
    pub(crate) fn open(disk: &dyn Disk, path: &Path, base: i64) -> io::Result<SavedIndex> {
        let file = disk.open(path, Mode::Read)?;
        Ok(SavedIndex { file, base })
    }

    /// As [`Index::floor`].
    pub(super) fn floor(&self, offset: i64) -> io::Result<Spot> {
        self.search(|entry| self.base + i64::from(entry.relative) <= offset)
    }

    /// As [`Index::floor_by_time`].
    pub(super) fn floor_by_time(&self, timestamp: i64) -> io::Result<Spot> {
        self.search(|entry| entry.newest_before < timestamp)
    }

    /// As [`Index::floor_by_position`].
    pub(super) fn floor_by_position(&self, position: u64) -> io::Result<Spot> {
        self.search(|entry| u64::from(entry.position) <= position)
    }

    /// As [`Index::last`].
    fn search(&self, before: impl Fn(&Entry) -> bool) -> io::Result<Spot> {
        let mut low = 0;
        let mut high = (self.file.size()? as usize).saturating_sub(FOOTER) / ENTRY;
        let mut found = Spot::beginning(self.base);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = read_entry(&*self.file, middle)?;
            if before(&entry) {
                found = entry.spot(self.base);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }
}

fn read_entry(file: &dyn DiskFile, number: usize) -> io::Result<Entry> {
    let mut bytes = [0; ENTRY];
    if file.read_at(&mut bytes, (number * ENTRY) as u64)? < ENTRY {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(decode_entry(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{NewRecord, build};
    use crate::file::sim::SimDisk;

    #[test]
    fn in_memory_and_saved_index_agree() {
        let mut index = Index::new(100);
        let sample = build(
            &[NewRecord {
                key: b"k",
                value: None,
            }],
            0,
        );
        let mut header = Header::parse(&sample).unwrap();
        for i in 0..200 {
            header.base_offset = 100 + i;
            // Times go back now and then.
            header.max_timestamp = (i / 10) * 100 - (i % 3) * 50;
            index.note(&header, i as u32 * 1000);
        }
        let disk = SimDisk::default();
        disk.create_dir(Path::new("d")).unwrap();
        let path = Path::new("d/100.index");
        index.save(&disk, path, 300, 200_000).unwrap();
        let (loaded, summary) = Index::load(&disk, path, 100).unwrap().unwrap();
        assert_eq!(
            (summary.next_offset, summary.size, summary.newest),
            (300, 200_000, index.newest())
        );
        assert_eq!(loaded.entries, index.entries);
        assert_eq!(index.entries.len(), 40);
        let saved = SavedIndex::open(&disk, path, 100).unwrap();
        for offset in 90..310 {
            assert_eq!(saved.floor(offset).unwrap(), index.floor(offset));
        }
        for position in (0..210_000).step_by(500) {
            let found = index.floor_by_position(position);
            assert_eq!(saved.floor_by_position(position).unwrap(), found);
            assert_eq!(
                u64::from(found.position),
                position.min(199_999) / 5_000 * 5_000
            );
        }
        for time in -200..2100 {
            assert_eq!(
                saved.floor_by_time(time).unwrap(),
                index.floor_by_time(time)
            );
        }
        assert_eq!(
            [100, 112, 299].map(|offset| index.floor(offset)),
            [(100, 0), (110, 10_000), (295, 195_000)]
                .map(|(offset, position)| Spot { offset, position })
        );

        disk.damage(path, |bytes| bytes[5] ^= 1);
        assert!(Index::load(&disk, path, 100).unwrap().is_none());
    }
}
