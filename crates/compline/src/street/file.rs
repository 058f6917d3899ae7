//! Files that only their owner reads, whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Writes `text` to `path` with mode 0600 by way of a new file beside it: a
/// reader, and a crash, meet the old content or the new one.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    PrivateFile::prepare(path)?.write(text)
}

/// A file that can be made, and is not there before it is [written](Self::write):
/// for what must not be lost for want of a place.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    part: Part,
}

impl PrivateFile {
    /// Shows that the folder of `path` takes a file of ours, by making one beside it.
    pub fn prepare(path: &Path) -> Result<Self> {
        let part = Part::beside(path).with_context(|| cannot_write(path))?;
        let path = path.to_owned();
        Ok(Self { path, part })
    }

    /// Puts `text` in the place of what `path` held.
    pub fn write(mut self, text: &str) -> Result<()> {
        self.part
            .become_file(&self.path, text)
            .with_context(|| cannot_write(&self.path))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// What will be the file, under another name; removed unless it becomes that.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn beside(path: &Path) -> io::Result<Self> {
        // No file takes the place of a folder.
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = path.with_file_name(name);
        // Left by a killed process that had our id; its mode is not to be trusted.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }

    fn become_file(&mut self, path: &Path, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is not there once it has become the file.
        let _ = fs::remove_file(&self.path);
    }
}
