//! A rewritten segment takes the place of those that it was made from, whatever crashes.
//!
//! | step | after a crash behind it |
//! |---|---|
//! | written to `.cleaned`, its index to `.swapindex`, both synced | undone: they are removed |
//! | `.cleaned` renamed to `.swap`, folder synced | finished, here and below |
//! | the old segments but the first removed, with all indexes, folder synced | |
//! | `.swap` renamed to `.log`, over the first one; `.swapindex` to `.index` | done; an index that is missing is made again |
//!
//! The old ones are only removed when there is a `.swap` that covers their offsets, and two files
//! never stand for one offset under their final names. Readers hold the old files open.

use std::path::Path;
use std::sync::Arc;

use super::super::index::{Index, Summary};
use super::super::recover::numbers;
use super::super::scan::{Holes, scan};
use super::super::segment::{Closed, segment_path};
use crate::Error;
use crate::file::{self, Disk, DiskFile, Mode};
use crate::guard::{self, Guard};

pub(super) const ASIDE: &str = "cleaned";
const SWAP: &str = "swap";
const SWAP_INDEX: &str = "swapindex";
const INDEX: &str = "index";

/// What is durable aside, to take its place.
#[derive(Debug)]
pub(super) struct Prepared {
    summary: Summary,
}

/// An empty file to write to, whatever an earlier pass left there.
pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>, Error> {
    file::remove_if_there(disk, path)?;
    disk.open(path, Mode::Append)
        .map_err(Error::io("create", path))
}

pub(super) fn prepare(
    disk: &dyn Disk,
    first: &Closed,
    file: &Arc<dyn DiskFile>,
    index: &Index,
    summary: Summary,
) -> Result<Prepared, Error> {
    let aside = first.path.with_extension(ASIDE);
    file.sync().map_err(Error::io("write", &aside))?;
    let path = first.path.with_extension(SWAP_INDEX);
    index.save(disk, &path, summary.next_offset, summary.size)?;
    Ok(Prepared { summary })
}

/// Removes what was written aside.
pub(super) fn discard(disk: &dyn Disk, first: &Path) -> Result<(), Error> {
    for kind in [ASIDE, SWAP_INDEX] {
        file::remove_if_there(disk, &first.with_extension(kind))?;
    }
    Ok(())
}

/// Gives the segment that stands in place of `old`.
pub(super) fn swap(
    disk: &Arc<dyn Disk>,
    old: &[Arc<Closed>],
    new: Prepared,
) -> Result<Closed, Error> {
    let path = &old[0].path;
    rename(
        &**disk,
        &path.with_extension(ASIDE),
        &path.with_extension(SWAP),
    )?;
    if guard::holds(Guard::SwapDurableFirst) {
        sync_folder(&**disk, path)?;
    }
    for segment in old {
        segment.give_up_name();
    }
    let file = take_place(&**disk, old).map_err(|error| match error {
        // Like a failed sync: nothing but the next open may go on from here.
        Error::Io { path, source, .. } => Error::Sync { path, source },
        other => other,
    })?;
    Ok(Closed::new(
        old[0].base,
        new.summary,
        file,
        path.clone(),
        disk.clone(),
    ))
}

fn take_place(disk: &dyn Disk, old: &[Arc<Closed>]) -> Result<Arc<dyn DiskFile>, Error> {
    let path = &old[0].path;
    for segment in &old[1..] {
        file::remove_if_there(disk, &segment.path)?;
        file::remove_if_there(disk, &segment.path.with_extension(INDEX))?;
    }
    file::remove_if_there(disk, &path.with_extension(INDEX))?;
    sync_folder(disk, path)?;
    rename(disk, &path.with_extension(SWAP), path)?;
    rename(
        disk,
        &path.with_extension(SWAP_INDEX),
        &path.with_extension(INDEX),
    )?;
    sync_folder(disk, path)?;
    disk.open(path, Mode::Read).map_err(Error::io("open", path))
}

/// Undoes or finishes what a crash interrupted.
pub(in super::super) fn finish(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    for base in numbers(disk, folder, ".cleaned")? {
        let path = segment_path(folder, base);
        file::remove_if_there(disk, &path.with_extension(ASIDE))?;
    }
    for base in numbers(disk, folder, ".swap")? {
        let path = segment_path(folder, base);
        let swap = path.with_extension(SWAP);
        let next_offset = end_of(disk, &swap, base)?;
        for old in numbers(disk, folder, ".log")? {
            let old_path = segment_path(folder, old);
            if (base..next_offset).contains(&old) {
                file::remove_if_there(disk, &old_path.with_extension(INDEX))?;
            }
            if (base + 1..next_offset).contains(&old) {
                file::remove_if_there(disk, &old_path)?;
            }
        }
        sync_folder(disk, &path)?;
        rename(disk, &swap, &path)?;
        sync_folder(disk, &path)?;
    }
    for base in numbers(disk, folder, ".swapindex")? {
        file::remove_if_there(disk, &segment_path(folder, base).with_extension(SWAP_INDEX))?;
    }
    Ok(())
}

fn end_of(disk: &dyn Disk, path: &Path, base: i64) -> Result<i64, Error> {
    let file = disk
        .open(path, Mode::Read)
        .map_err(Error::io("open", path))?;
    let size = file.size().map_err(Error::io("measure", path))?;
    let scan = scan(&*file, path, base, size, Holes::Allowed)?;
    match scan.bad {
        Some(bad) => Err(Error::corrupt(
            path,
            bad,
            "a damaged batch in a compacted segment that was synced",
        )),
        None => Ok(scan.next_offset),
    }
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    disk.rename(from, to).map_err(Error::io("name", to))
}

fn sync_folder(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let folder = path.parent().expect("a segment stands in a folder");
    disk.sync_dir(folder).map_err(|source| Error::Sync {
        path: folder.to_owned(),
        source,
    })
}
