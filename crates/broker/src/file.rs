//! The file layer: the few things that the log asks of a disk.
//!
//! The contract, which the simulated disk enforces by forgetting: bytes are durable when
//! [`DiskFile::sync`] has returned after they were written, names when [`Disk::sync_dir`] has
//! returned for the folder that holds them. Nothing else promises anything.

mod extent;
mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub(crate) use extent::Extent;
pub(crate) use real::RealDisk;

use crate::Error;

/// Folders and names.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a folder and its parents; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    /// Moves a file or a folder, replacing a file that is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all that is in it.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes a lock that ends with the guard or the process, whichever is first; `None` when
    /// somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
}

/// One open file. All methods may be called from several threads; appends are the caller's to
/// put in order.
pub(crate) trait DiskFile: Debug + Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// When it was last written, milliseconds since 1970.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Reads at least one byte, unless there is none at `position`.
    fn read_some_at(&self, into: &mut [u8], position: u64) -> io::Result<usize>;
    /// Reads up to `into.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.read_some_at(&mut into[read..], position + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
    /// Writes all parts at the end of a file opened with [`Mode::Append`]. After an error the
    /// file may hold some of them.
    fn append(&self, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Writes all bytes at a position of a file opened with [`Mode::Write`].
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Makes what was written so far durable, with the size; not the name.
    fn sync(&self) -> io::Result<()>;
}

/// Holds a lock until it is dropped.
pub(crate) type LockGuard = Box<dyn Debug + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Must exist.
    Read,
    /// Made if it is missing.
    Append,
    /// Made if it is missing.
    Write,
}

/// Replaces a small file as a whole: after a crash it holds the old bytes or the new ones.
///
/// # Errors
/// [`Error::Sync`] when nobody knows which of the two a crash would leave; with any other, the old
/// ones stand.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = path.with_extension("new");
    match disk.remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &aside)(error));
        }
        _ => {}
    }
    let file = disk
        .open(&aside, Mode::Write)
        .map_err(Error::io("create", &aside))?;
    file.write_at(bytes, 0)
        .map_err(Error::io("write", &aside))?;
    file.sync().map_err(Error::io("sync", &aside))?;
    disk.rename(&aside, path)
        .map_err(Error::io("replace", path))?;
    let folder = path.parent().expect("a file of the log stands in a folder");
    sync_names(disk, folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_names(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk.sync_dir(folder).map_err(|source| Error::Sync {
        path: folder.to_owned(),
        source,
    })
}

/// The bytes of a small file; `None` when it is missing.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match disk.open(path, Mode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let size = file.size().map_err(Error::io("measure", path))?;
    let mut bytes = vec![0; size as usize];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(Error::io("read", path))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Removes a file that may be missing.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
