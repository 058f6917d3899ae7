//! Producer ids, none of which is ever given twice.
//!
//! Ids come in blocks. A block is made durable before its first id is given, so that after a
//! crash the rest of it is lost instead of given again. The log is never asked: a producer that
//! has written nothing yet is not in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::Error;
use crate::file::{self, Disk};
use crate::folder::MISSING;
use crate::guard::{self, Guard};

const BLOCK: i64 = 1_000;

#[derive(Debug)]
pub(crate) struct ProducerIds {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    block: Mutex<Block>,
}

/// Ids from `next` up to `end` may be given.
#[derive(Debug)]
struct Block {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// Begins at the first id, in a folder that is new.
    pub(crate) fn begin(disk: &dyn Disk, data: &Path) -> Result<(), Error> {
        file::replace(disk, &data.join("producer-ids"), b"0\n")
    }

    /// A missing file is refused: begun again, it would give ids again.
    pub(crate) fn open(disk: Arc<dyn Disk>, data: &Path) -> Result<ProducerIds, Error> {
        let path = data.join("producer-ids");
        let end = match file::read_whole(&*disk, &path)? {
            Some(bytes) => String::from_utf8_lossy(&bytes)
                .trim()
                .parse()
                .map_err(|_| Error::corrupt(&path, 0, "this is not a number"))?,
            None => return Err(Error::corrupt(&path, 0, MISSING)),
        };
        Ok(ProducerIds {
            disk,
            path,
            block: Mutex::new(Block { next: end, end }),
        })
    }

    /// An id of its own; may wait for the disk.
    pub(crate) fn next(&self) -> Result<i64, Error> {
        let mut block = self.block.lock().expect("no holder panics");
        if block.next == block.end {
            let end = block.end + BLOCK;
            if guard::holds(Guard::IdsDurableFirst) {
                file::replace(&*self.disk, &self.path, format!("{end}\n").as_bytes())?;
            }
            block.end = end;
        }
        block.next += 1;
        Ok(block.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::file::sim::SimDisk;

    #[test]
    fn no_id_twice_over_power_losses() {
        let mut disk = SimDisk::default();
        disk.create_dir(Path::new("data")).unwrap();
        disk.sync_dir(Path::new("data")).unwrap();
        let mut seen = HashSet::new();
        ProducerIds::begin(&disk, Path::new("data")).unwrap();
        for _ in 0..4 {
            let ids = ProducerIds::open(Arc::new(disk.clone()), Path::new("data")).unwrap();
            for _ in 0..=BLOCK {
                assert!(seen.insert(ids.next().unwrap()));
            }
            disk = disk.after_power_loss(0);
        }
    }

    #[test]
    fn a_lost_file_is_not_begun_again() {
        let disk = SimDisk::default();
        disk.create_dir(Path::new("data")).unwrap();
        let opened = ProducerIds::open(Arc::new(disk), Path::new("data"));
        assert!(matches!(opened, Err(Error::Corrupt { .. })));
    }
}
