//! Files as they are: copied, synced and summed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{
    make_private,
    manifest::{FileFacts, Refused},
};

/// Of one run of a street, and worth nothing to another.
const OF_A_RUN: [&str; 4] = ["lock", "street.json", "pgpass", "restoring"];

/// Of the backup itself.
const OF_THE_BACKUP: [&str; 3] = ["lock", "backup.json", "unfinished"];

/// Copies the files of a data folder that stand beside `log` and `postgres`.
pub(super) fn copy_small(data: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(data).with_context(|| format!("cannot read {}", data.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let passes = OF_A_RUN.contains(&text.as_ref()) || text.ends_with(".part");
        if passes || !entry.path().is_file() {
            continue;
        }
        copy(&entry.path(), &to.join(&name))?;
    }
    Ok(())
}

/// Copies one file that is not there yet, for its owner alone.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = create(to)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copied().with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

/// A new file that only its owner may read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Copies those of `files` that stand below the folder `below`, with their folders.
pub(super) fn copy_tree(files: &[FileFacts], from: &Path, below: &str, to: &Path) -> Result<()> {
    make_private(to)?;
    for file in files {
        let Ok(name) = Path::new(&file.path).strip_prefix(below) else {
            continue;
        };
        let target = to.join(name);
        if let Some(folder) = target.parent() {
            make_private(folder)?;
        }
        copy(&from.join(&file.path), &target)?;
    }
    Ok(())
}

/// Makes the names in `folder`, and in those below it, as lasting as the files are.
pub(super) fn sync_names(folder: &Path) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut synced = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
            File::open(&folder)?.sync_all()
        };
        synced().with_context(|| format!("cannot sync {}", folder.display()))?;
    }
    Ok(())
}

/// Every file of a backup with its sum, sorted by path.
pub(super) fn sum(backup: &Path) -> Result<Vec<FileFacts>> {
    let mut facts = Vec::new();
    for path in paths(backup)? {
        let name = path.strip_prefix(backup).expect("it was found in there");
        if OF_THE_BACKUP.iter().any(|own| name == Path::new(own)) {
            continue;
        }
        let (bytes, sha256) = sum_of(&path)?;
        facts.push(FileFacts {
            path: name.to_string_lossy().into_owned(),
            bytes,
            sha256,
        });
    }
    facts.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(facts)
}

/// Whether every file is there as it was written.
pub(super) fn verify(backup: &Path, files: &[FileFacts]) -> Result<()> {
    for file in files {
        let path = backup.join(&file.path);
        if !path.is_file() {
            return Err(Refused::Missing { path }.into());
        }
        let (bytes, found) = sum_of(&path)?;
        if (bytes, &found) != (file.bytes, &file.sha256) {
            return Err(Refused::Damaged {
                path,
                expected: file.sha256.clone(),
                expected_bytes: file.bytes,
                found,
                found_bytes: bytes,
            }
            .into());
        }
    }
    Ok(())
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let there = fs::read_dir(&folder);
        for entry in there.with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    Ok(found)
}

/// Its bytes and their SHA-256 in hex.
fn sum_of(path: &Path) -> Result<(u64, String)> {
    let summed = || -> io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let mut sum = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok((bytes, hex::encode(sum.finalize())));
            }
            sum.update(&piece[..read]);
            bytes += read as u64;
        }
    };
    summed().with_context(|| format!("cannot read {}", path.display()))
}
