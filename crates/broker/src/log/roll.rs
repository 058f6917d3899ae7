//! A segment that is full is closed and the next one begun.
//!
//! Everything before is durable first, so a torn write can only ever be in the last segment. The
//! disk is waited for outside of the log's lock: meanwhile the log is read, and takes no appends.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Active, Index, Log, Point, producers_path, recover};
use crate::Error;
use crate::file::{self, Disk, DiskFile};

/// The active segment as it is to be closed.
#[derive(Debug)]
pub(crate) struct Roll {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    index: Index,
    producers: Vec<u8>,
    end: Point,
}

impl Log {
    /// Takes no appends from now on; [`Log::end_roll`] must follow.
    pub(crate) fn begin_roll(&mut self) -> Result<Roll, Error> {
        if self.broken {
            // It would end before the file does, which looks like damage to the next open.
            let source = io::Error::other("an earlier append failed half-way");
            return Err(Error::io("close", &self.active.path)(source));
        }
        let roll = self.as_it_is()?;
        self.is_rolling = true;
        Ok(roll)
    }

    /// Goes on in the next segment, if there is one.
    pub(crate) fn end_roll(
        &mut self,
        roll: &Roll,
        next: Result<Active, Error>,
    ) -> Result<(), Error> {
        self.is_rolling = false;
        self.sync_failed |= matches!(next, Err(Error::Sync { .. }));
        let full = std::mem::replace(&mut self.active, next?);
        self.closed
            .push_back(Arc::new(full.close(self.disk.clone())));
        // Not before: what is shown of the last segment is covered by the mark.
        self.set_synced(roll.end);
        Ok(())
    }

    /// Makes the next open quick. Everything is synced afterwards.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let last = self.as_it_is()?;
        let saved = last.save();
        self.sync_failed |= matches!(saved, Err(Error::Sync { .. }));
        saved?;
        self.set_synced(last.end);
        Ok(())
    }

    fn as_it_is(&self) -> Result<Roll, Error> {
        self.refuse_after_failed_sync()?;
        Ok(Roll {
            disk: self.disk.clone(),
            folder: self.folder.clone(),
            file: self.active.file.clone(),
            path: self.active.path.clone(),
            index: self.active.index.clone(),
            producers: self.producers.encode(),
            end: self.end(),
        })
    }
}

impl Roll {
    /// Makes what is closed durable, then the next segment; waits for the disk.
    ///
    /// # Errors
    /// [`Error::Sync`] when nobody knows what is on disk; with any other, the segment goes on.
    pub(crate) fn run(&self) -> Result<Active, Error> {
        self.save()?;
        let next = Active::create(&*self.disk, &self.folder, self.end.offset)?;
        file::sync_names(&*self.disk, &self.folder)?;
        Ok(next)
    }

    fn save(&self) -> Result<(), Error> {
        self.file.sync().map_err(|source| Error::Sync {
            path: self.path.clone(),
            source,
        })?;
        let index = self.path.with_extension("index");
        let Point {
            offset, position, ..
        } = self.end;
        self.index.save(&*self.disk, &index, offset, position)?;
        self.save_producers()
    }

    fn save_producers(&self) -> Result<(), Error> {
        let path = producers_path(&self.folder, self.end.offset);
        file::replace(&*self.disk, &path, &self.producers)?;
        // One older is kept: this one belongs to a segment that may be lost with its tail.
        let mut older = recover::snapshots(&*self.disk, &self.folder)?;
        older.retain(|offset| *offset < self.end.offset);
        older.pop();
        for offset in older {
            file::remove_if_there(&*self.disk, &producers_path(&self.folder, offset))?;
        }
        Ok(())
    }
}
