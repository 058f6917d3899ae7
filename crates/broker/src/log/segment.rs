//! The files of a log: the one that is written, and those that are full.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::index::{Index, SavedIndex, Spot, Summary};
use crate::Error;
use crate::file::{self, Disk, DiskFile, Mode};

/// A segment that is full, synced and indexed.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(super) base: i64,
    pub(super) next_offset: i64,
    pub(super) newest: i64,
    pub(super) size: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Its name, and that of its index, are another segment's or nobody's.
    nameless: AtomicBool,
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(super) base: i64,
    pub(super) next_offset: i64,
    pub(super) size: u64,
    /// When its first batch came, by the broker's clock.
    pub(super) began_ms: Option<i64>,
    pub(super) index: Index,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
}

impl Active {
    pub(super) fn create(disk: &dyn Disk, folder: &Path, base: i64) -> Result<Active, Error> {
        let path = segment_path(folder, base);
        let file = disk
            .open(&path, Mode::Append)
            .map_err(Error::io("create", &path))?;
        // A roll that failed half-way may have left one.
        if let Err(error) = file.truncate(0) {
            // Nor may this one: the active segment goes on, and would end behind it.
            let _ = disk.remove_file(&path);
            return Err(Error::io("truncate", &path)(error));
        }
        Ok(Active {
            base,
            next_offset: base,
            size: 0,
            began_ms: None,
            index: Index::new(base),
            file,
            path,
        })
    }

    pub(super) fn close(self, disk: Arc<dyn Disk>) -> Closed {
        let summary = Summary {
            next_offset: self.next_offset,
            newest: self.index.newest(),
            size: self.size,
        };
        Closed::new(self.base, summary, self.file, self.path, disk)
    }
}

impl Closed {
    pub(super) fn new(
        base: i64,
        summary: Summary,
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        disk: Arc<dyn Disk>,
    ) -> Closed {
        Closed {
            base,
            next_offset: summary.next_offset,
            newest: summary.newest,
            size: summary.size,
            file,
            path,
            disk,
            nameless: AtomicBool::new(false),
        }
    }

    /// The same segment, in another folder.
    pub(super) fn moved_to(&self, folder: &Path) -> Closed {
        let summary = Summary {
            next_offset: self.next_offset,
            newest: self.newest,
            size: self.size,
        };
        let path = segment_path(folder, self.base);
        Closed::new(
            self.base,
            summary,
            self.file.clone(),
            path,
            self.disk.clone(),
        )
    }

    /// Where to begin looking for an offset.
    pub(super) fn floor(&self, offset: i64) -> io::Result<Spot> {
        self.search(|index| index.floor(offset))
    }

    /// Where to begin looking for the first timestamp that is not before `timestamp`.
    pub(super) fn floor_by_time(&self, timestamp: i64) -> io::Result<Spot> {
        self.search(|index| index.floor_by_time(timestamp))
    }

    /// Where some batch begins, not far before `position` or there.
    pub(super) fn floor_by_position(&self, position: u64) -> io::Result<Spot> {
        self.search(|index| index.floor_by_position(position))
    }

    /// Readers that hold a segment whose files went away look for everything from its beginning.
    fn search(&self, look: impl FnOnce(&SavedIndex) -> io::Result<Spot>) -> io::Result<Spot> {
        let index = SavedIndex::open(&*self.disk, &self.path.with_extension("index"), self.base);
        // Asked only when the index is open: it is renamed to or removed after this is set.
        if self.nameless.load(Ordering::SeqCst) {
            return Ok(Spot::beginning(self.base));
        }
        look(&index?)
    }

    /// To be called before the segment's files are removed or replaced. Readers that still hold
    /// it go on reading.
    pub(super) fn give_up_name(&self) {
        self.nameless.store(true, Ordering::SeqCst);
    }

    /// Removes the files of a segment that was taken out of its log.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.give_up_name();
        for kind in ["index", "log", "swap", "swapindex"] {
            file::remove_if_there(&*self.disk, &self.path.with_extension(kind))?;
        }
        Ok(())
    }
}

pub(crate) fn segment_path(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}
