//! A data folder that a restore has not finished.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::write_private;

const NAME: &str = "restoring";

/// The folder is refused to everybody for as long as its file is there, whatever
/// becomes of the process.
#[derive(Debug)]
#[must_use]
pub struct Restoring {
    folder: PathBuf,
}

impl Restoring {
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        write_private(&folder.join(NAME), "")?;
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    /// Everything is there, and on disk but for the names in the folder itself.
    pub fn finish(self) -> Result<()> {
        let finished = || -> io::Result<()> {
            let folder = File::open(&self.folder)?;
            folder.sync_all()?;
            fs::remove_file(self.folder.join(NAME))?;
            folder.sync_all()
        };
        finished().with_context(|| format!("cannot finish {}", self.folder.display()))
    }
}
