//! Files with a segment's name in which nothing of the log can be. A name alone is believed
//! nowhere: offsets up to it would be taken for lost.
//!
//! | no sound batch is in it, and it begins | then it is |
//! |---|---|
//! | where the segment before ends | the log's, new or damaged |
//! | behind that, and the log was synced up to there, or nobody knows | the log's, damaged |
//! | behind that, and the log was never synced so far | a stray |
//! | before that | a stray |

use std::path::{Path, PathBuf};

use super::segment::{Found, Reader};
use crate::Error;
use crate::file::{Disk, Mode};
use crate::log::{Index, Mark, sound_batch};

/// Takes the strays out of what look like a log's segments.
pub(super) fn take_out(
    disk: &dyn Disk,
    segments: &mut Vec<(i64, PathBuf)>,
    mark: Option<Mark>,
) -> Result<Vec<(PathBuf, u64)>, Error> {
    let mut strays = Vec::new();
    let mut kept: Vec<(i64, PathBuf)> = Vec::with_capacity(segments.len());
    for (base, path) in segments.drain(..) {
        let is_stray = match kept.last() {
            Some((before, file)) => {
                begins_with_nothing(disk, base, &path)? && {
                    let end = end_of(disk, *before, file)?;
                    let synced = mark.map_or(i64::MAX, |mark| mark.synced.offset);
                    let has_place = base == end || (end..=synced).contains(&base);
                    !has_place && holds_nothing(disk, base, &path)?
                }
            }
            None => false,
        };
        match is_stray {
            true => {
                let size = open(disk, &path)?.size();
                strays.push((path.clone(), size.map_err(Error::io("measure", &path))?));
            }
            false => kept.push((base, path)),
        }
    }
    *segments = kept;
    Ok(strays)
}

fn open(disk: &dyn Disk, path: &Path) -> Result<std::sync::Arc<dyn crate::file::DiskFile>, Error> {
    disk.open(path, Mode::Read).map_err(Error::io("open", path))
}

fn begins_with_nothing(disk: &dyn Disk, base: i64, path: &Path) -> Result<bool, Error> {
    let file = open(disk, path)?;
    let mut reader = Reader::new(&*file).map_err(Error::io("read", path))?;
    let first = reader.batch_at(0, &(base..i64::MAX));
    let first = first.map_err(Error::io("read", path))?;
    Ok(!matches!(first, Found::Batch(..)))
}

fn holds_nothing(disk: &dyn Disk, base: i64, path: &Path) -> Result<bool, Error> {
    let file = open(disk, path)?;
    let size = file.size().map_err(Error::io("measure", path))?;
    let found = sound_batch(&*file, 0..size, &(base..i64::MAX));
    Ok(found.map_err(Error::io("read", path))?.is_none())
}

/// Behind the last sound batch, as the index says or as is read.
fn end_of(disk: &dyn Disk, base: i64, path: &Path) -> Result<i64, Error> {
    let file = open(disk, path)?;
    let mut reader = Reader::new(&*file).map_err(Error::io("read", path))?;
    let index = Index::load(disk, &path.with_extension("index"), base)?;
    if let Some((_, summary)) = index.filter(|(_, summary)| summary.size >= reader.size) {
        return Ok(summary.next_offset);
    }
    let (mut position, mut end) = (0, base);
    loop {
        let at = sound_batch(&*file, position..reader.size, &(end..i64::MAX));
        let Some(at) = at.map_err(Error::io("read", path))? else {
            return Ok(end);
        };
        let found = reader.batch_at(at, &(end..i64::MAX));
        let Found::Batch(header, _) = found.map_err(Error::io("read", path))? else {
            return Ok(end);
        };
        position = at + header.size as u64;
        end = header.next_offset();
    }
}
