//! A data folder that a restore has not finished.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::write_private;

const NAME: &str = "restoring";

/// The folder is refused to everybody for as long as its file is there, whatever
/// becomes of the process.
#[derive(Debug)]
#[must_use]
pub struct Restoring {
    mark: PathBuf,
}

impl Restoring {
    pub(super) fn begin(folder: &std::path::Path) -> Result<Self> {
        let mark = folder.join(NAME);
        write_private(&mark, "")?;
        Ok(Self { mark })
    }

    pub(super) fn is_in(folder: &std::path::Path) -> bool {
        folder.join(NAME).exists()
    }

    /// Everything is there and on disk.
    pub fn finish(self) -> Result<()> {
        fs::remove_file(&self.mark)
            .with_context(|| format!("cannot remove {}", self.mark.display()))
    }
}
