//! A part of a file that is not written any more, to be read later.

use std::io;
use std::sync::Arc;

use super::DiskFile;

#[derive(Debug, Clone)]
pub(crate) struct Extent {
    file: Arc<dyn DiskFile>,
    position: u64,
    size: usize,
}

impl Extent {
    /// Of `size` bytes, which are all there.
    pub(crate) fn new(file: Arc<dyn DiskFile>, position: u64, size: usize) -> Extent {
        Extent {
            file,
            position,
            size,
        }
    }

    /// Fills `into`, which has its size; waits for the disk.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<()> {
        if self.file.read_at(into, self.position)? < self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    pub(crate) fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
