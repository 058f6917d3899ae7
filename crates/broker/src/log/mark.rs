//! The sync mark of a partition: how far it was synced, and where it begins.
//!
//! It is written after each sync, which makes it exact after a crash of the process, and synced
//! itself now and then, which makes it a lower bound after a power loss. What is before it was
//! once on disk whole, so damage there is never a torn write.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::Error;
use crate::file::{Disk, DiskFile, Mode};
use crate::guard::{self, Guard};

const SIZE: usize = 36;
/// Two places, written in turn: a write that a power loss tears leaves the other one.
const PLACES: u64 = 2;
const STRIDE: u64 = 512;

/// A place in a partition's log, behind whole batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// The offset of the next batch.
    pub(crate) offset: i64,
    /// The first offset of the segment it is in.
    pub(crate) segment: i64,
    /// Bytes of that segment before it.
    pub(crate) position: u64,
}

/// What the mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The first offset that is kept; what is before it was deleted by retention or a client.
    pub(crate) start_offset: i64,
    pub(crate) synced: Point,
}

#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn DiskFile>,
    path: Box<Path>,
    /// Written since the last sync began.
    unsynced: AtomicBool,
    /// Whether a sync failed: no later one mends that. Held while the file is synced, for whoever
    /// comes meanwhile must know how it ended.
    sync_failed: Mutex<bool>,
}

impl MarkFile {
    /// Opens the mark of the partition in `folder`, with what it last said.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> Result<(MarkFile, Option<Mark>), Error> {
        let path = folder.join("mark");
        let file = disk
            .open(&path, Mode::Write)
            .map_err(Error::io("open", &path))?;
        let newest = newest(&*file, &path)?;
        Ok((
            MarkFile {
                file,
                path: path.into(),
                unsynced: AtomicBool::new(false),
                sync_failed: Mutex::new(false),
            },
            newest,
        ))
    }

    /// Writes without syncing. `turn` is any number that grows by one each time.
    pub(crate) fn write(&self, mark: &Mark, turn: u64) -> Result<(), Error> {
        let place = turn % PLACES * STRIDE;
        let written = self.file.write_at(&encode(mark), place);
        // Behind the write: a sync that somebody else begins before it does not count for it.
        self.unsynced.store(true, Ordering::Release);
        written.map_err(Error::io("write", &self.path))
    }

    /// Makes durable what was written, if anything was; waits for whoever does so already.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let mut failed = self.sync_failed.lock().expect("nobody who syncs panics");
        let synced = if *failed {
            Err(io::Error::other("an earlier sync failed"))
        } else if self.unsynced.swap(false, Ordering::AcqRel) {
            self.file.sync()
        } else {
            Ok(())
        };
        *failed = synced.is_err() && guard::holds(Guard::FailedSyncIsFatal);
        synced.map_err(|source| Error::Sync {
            path: self.path.to_path_buf(),
            source,
        })
    }
}

/// What the mark of the partition in `folder` says; `None` when there is none that is whole.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Mark>, Error> {
    let path = folder.join("mark");
    match disk.open(&path, Mode::Read) {
        Ok(file) => newest(&*file, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", &path)(error)),
    }
}

fn newest(file: &dyn DiskFile, path: &Path) -> Result<Option<Mark>, Error> {
    let mut newest: Option<Mark> = None;
    for place in 0..PLACES {
        let mut bytes = [0; SIZE];
        let read = file
            .read_at(&mut bytes, place * STRIDE)
            .map_err(Error::io("read", path))?;
        let Some(mark) = decode(&bytes[..read]) else {
            continue;
        };
        let newer = newest
            .is_none_or(|seen| (mark.synced, mark.start_offset) > (seen.synced, seen.start_offset));
        if newer {
            newest = Some(mark);
        }
    }
    Ok(newest)
}

fn encode(mark: &Mark) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let numbers = [
        mark.start_offset,
        mark.synced.offset,
        mark.synced.segment,
        mark.synced.position as i64,
    ];
    for (number, into) in numbers.into_iter().zip(bytes.chunks_exact_mut(8)) {
        into.copy_from_slice(&number.to_be_bytes());
    }
    let sum = crc32c::crc32c(&bytes[..SIZE - 4]);
    bytes[SIZE - 4..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let (numbers, sum) = bytes.split_last_chunk::<4>()?;
    if numbers.len() != SIZE - 4 || crc32c::crc32c(numbers) != u32::from_be_bytes(*sum) {
        return None;
    }
    let number =
        |i: usize| i64::from_be_bytes(numbers[i * 8..i * 8 + 8].try_into().expect("8 bytes"));
    Some(Mark {
        start_offset: number(0),
        synced: Point {
            offset: number(1),
            segment: number(2),
            position: number(3) as u64,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::SimDisk;

    #[test]
    fn the_newest_whole_mark_is_read() {
        let disk = SimDisk::default();
        let folder = Path::new("p");
        disk.create_dir(folder).unwrap();
        let (file, none) = MarkFile::open(&disk, folder).unwrap();
        assert_eq!(none, None);
        let mark = |offset| Mark {
            start_offset: 3,
            synced: Point {
                offset,
                segment: 0,
                position: offset as u64 * 10,
            },
        };
        for turn in 0..5 {
            file.write(&mark(turn as i64 + 10), turn).unwrap();
        }
        assert_eq!(MarkFile::open(&disk, folder).unwrap().1, Some(mark(14)));
        // Turn 4 went to the first place; torn, the one before it counts.
        disk.damage(&folder.join("mark"), |bytes| bytes[20] ^= 1);
        assert_eq!(MarkFile::open(&disk, folder).unwrap().1, Some(mark(13)));
    }
}
