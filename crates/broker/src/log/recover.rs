//! Opening a partition's log: what is trusted, what is read again, what is cut, what is refused.
//!
//! | a batch is bad (cut short, wrong sum, wrong offset) | then |
//! |---|---|
//! | in a segment that is not the last one | refused: it was synced before the next one began |
//! | in the last one, before the sync mark | refused: it was synced |
//! | behind the mark, sound batches follow | refused: a torn write has nothing behind it |
//! | behind the mark, nothing sound follows | cut: it was never acknowledged |
//!
//! Only the last segment is read again, and not even that after a clean stop.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::cleaner::{self, Border};
use super::index::{Index, Summary};
use super::order::SoundBatches;
use super::producers::Producers;
use super::scan::{Holes, scan};
use super::search::sound_batch;
use super::{Active, Closed, Log, Mark, MarkFile, Point, producers_path, segment_path};
use crate::Error;
use crate::file::{self, Disk, Mode};
use crate::guard::{self, Guard};

/// Farther than that no two batches of a segment are apart.
pub(crate) const FARTHEST: i64 = u32::MAX as i64;

/// Opens the log in `folder`, or begins one in an empty folder. `clean` says that the broker was
/// stopped in order, so that the last segment need not be read again.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    clean: bool,
    now_ms: i64,
) -> Result<(Log, MarkFile), Error> {
    let (mark_file, mark) = MarkFile::open(&**disk, folder)?;
    cleaner::finish_swaps(&**disk, folder)?;
    let border = Border::load(&**disk, folder)?;
    let mut bases = numbers(&**disk, folder, ".log")?;
    if let Some(mark) = mark {
        remove_retired(&**disk, folder, &mut bases, mark.start_offset)?;
    }
    let Some((last, full)) = bases.split_last() else {
        if let Some(mark) = mark {
            let path = segment_path(folder, mark.synced.segment);
            return Err(Error::corrupt(
                &path,
                0,
                "the segment is missing, and the log was synced up to it",
            ));
        }
        // A new one that a crash interrupted has nothing yet; one that was closed in order has.
        if clean || !numbers(&**disk, folder, ".producers")?.is_empty() {
            let path = segment_path(folder, 0);
            return Err(Error::corrupt(&path, 0, "the log's segments are missing"));
        }
        let active = Active::create(&**disk, folder, 0)?;
        sync_names(&**disk, folder)?;
        return Ok((
            assemble(
                disk,
                folder,
                VecDeque::new(),
                active,
                Producers::default(),
                0,
                border,
            ),
            mark_file,
        ));
    };
    if !clean {
        // A process that was killed may have made names that no sync followed.
        sync_names(&**disk, folder)?;
    }
    let mut closed = VecDeque::with_capacity(full.len());
    let mut expected = None;
    for base in full {
        refuse_gap(folder, expected, *base)?;
        if !clean && mark.is_none_or(|mark| mark.synced.segment <= *base) {
            sync_again(&**disk, &segment_path(folder, *base))?;
        }
        let segment = open_closed(disk, folder, *base, border.holes_at(*base))?;
        expected = Some(segment.next_offset);
        closed.push_back(Arc::new(segment));
    }
    refuse_gap(folder, expected, *last)?;
    let active = match trusted(&**disk, folder, *last, mark.filter(|_| clean))? {
        Some(active) => active,
        None => open_active(&**disk, folder, *last, mark, now_ms)?,
    };
    if let Some(mark) = mark.filter(|mark| mark.synced.segment > *last) {
        let path = segment_path(folder, mark.synced.segment);
        return Err(Error::corrupt(
            &path,
            0,
            "the segment is missing, and the log was synced up to it",
        ));
    }
    let start = mark.map_or(0, |mark| mark.start_offset);
    if bases[0] > start {
        let path = segment_path(folder, start);
        return Err(Error::corrupt(
            &path,
            0,
            "the log's first segment is missing",
        ));
    }
    let producers = open_producers(disk, folder, &closed, &active, border, now_ms)?;
    Ok((
        assemble(disk, folder, closed, active, producers, start, border),
        mark_file,
    ))
}

/// Segments that end before the start were to be removed; of several, any may be left.
fn remove_retired(
    disk: &dyn Disk,
    folder: &Path,
    bases: &mut Vec<i64>,
    start_offset: i64,
) -> Result<(), Error> {
    let first = bases.partition_point(|base| *base <= start_offset);
    for base in bases.drain(..first.saturating_sub(1)) {
        let path = segment_path(folder, base);
        file::remove_if_there(disk, &path.with_extension("index"))?;
        file::remove_if_there(disk, &path)?;
    }
    Ok(())
}

fn sync_names(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk.sync_dir(folder).map_err(Error::io("sync", folder))
}

fn assemble(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    closed: VecDeque<Arc<Closed>>,
    active: Active,
    producers: Producers,
    start_offset: i64,
    border: Border,
) -> Log {
    let synced = Point {
        offset: active.next_offset,
        segment: active.base,
        position: active.size,
    };
    Log {
        disk: disk.clone(),
        folder: folder.to_owned(),
        closed,
        active,
        producers,
        start_offset,
        border,
        synced,
        broken: false,
        sync_failed: false,
        is_rolling: false,
    }
}

fn refuse_gap(folder: &Path, expected: Option<i64>, base: i64) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != base => {
            let what = format!(
                "it begins at offset {base}, the segment before it ends at {expected}: records are \
                 missing between the two, or this file is not of this log"
            );
            Err(Error::corrupt(&segment_path(folder, base), 0, what))
        }
        _ => Ok(()),
    }
}

fn open_closed(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    base: i64,
    holes: Holes,
) -> Result<Closed, Error> {
    let path = segment_path(folder, base);
    let file = disk
        .open(&path, Mode::Read)
        .map_err(Error::io("open", &path))?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let index_path = path.with_extension("index");
    let summary = match Index::load(&**disk, &index_path, base)? {
        Some((_, summary)) if summary.size == size => summary,
        Some((_, summary)) if summary.size > size => {
            return Err(Error::corrupt(
                &path,
                size,
                format!("it ends here, and was {} bytes long", summary.size),
            ));
        }
        _ => {
            let scan = scan(&*file, &path, base, size, holes)?;
            if let Some(bad) = scan.bad {
                return Err(Error::corrupt(
                    &path,
                    bad,
                    "a damaged batch in a segment that was synced",
                ));
            }
            scan.index
                .save(&**disk, &index_path, scan.next_offset, size)?;
            Summary {
                next_offset: scan.next_offset,
                newest: scan.index.newest(),
                size,
            }
        }
    };
    Ok(Closed::new(base, summary, file, path, disk.clone()))
}

/// The last segment, unread, if a clean stop left an index that fits it and the mark.
fn trusted(
    disk: &dyn Disk,
    folder: &Path,
    base: i64,
    mark: Option<Mark>,
) -> Result<Option<Active>, Error> {
    let Some(mark) = mark else { return Ok(None) };
    let path = segment_path(folder, base);
    let Some((index, summary)) = Index::load(disk, &path.with_extension("index"), base)? else {
        return Ok(None);
    };
    let file = disk
        .open(&path, Mode::Append)
        .map_err(Error::io("open", &path))?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let end = Point {
        offset: summary.next_offset,
        segment: base,
        position: size,
    };
    if summary.size != size || mark.synced != end {
        return Ok(None);
    }
    Ok(Some(Active {
        base,
        next_offset: end.offset,
        size,
        began_ms: None,
        index,
        file,
        path,
    }))
}

/// The last segment, read as a whole, its torn tail cut.
fn open_active(
    disk: &dyn Disk,
    folder: &Path,
    base: i64,
    mark: Option<Mark>,
    now_ms: i64,
) -> Result<Active, Error> {
    let path = segment_path(folder, base);
    let file = disk
        .open(&path, Mode::Append)
        .map_err(Error::io("open", &path))?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let scan = scan(&*file, &path, base, size, Holes::Refused)?;
    let end = scan.bad.unwrap_or(size);
    let synced = mark.map_or(0, |mark| match mark.synced.segment {
        segment if segment == base => mark.synced.position,
        segment if segment > base => u64::MAX,
        _ => 0,
    });
    if end < synced && guard::holds(Guard::CutBehindMark) {
        let what = match scan.bad {
            Some(_) => "a damaged batch before the point up to which the log was synced",
            None => "the file ends before the point up to which the log was synced",
        };
        return Err(Error::corrupt(&path, end, what));
    }
    if let Some(bad) = scan.bad {
        let near = scan.next_offset..scan.next_offset.saturating_add(FARTHEST);
        let follows =
            sound_batch(&*file, bad + 1..size, &near).map_err(Error::io("read", &path))?;
        if let Some(sound) = follows.filter(|_| guard::holds(Guard::SoundBatchesFollow)) {
            let what = format!("a damaged batch, but a sound one follows at byte {sound}");
            return Err(Error::corrupt(&path, bad, what));
        }
        tracing::warn!(path = %path.display(), position = bad, bytes = size - bad, "cut a torn write that was never acknowledged");
        file.truncate(bad).map_err(Error::io("truncate", &path))?;
    }
    // What is kept may never have been synced; it is acknowledged to readers from now on.
    write_again(disk, &path, synced..end)?;
    file.sync().map_err(|source| Error::Sync {
        path: path.clone(),
        source,
    })?;
    let began_ms = (end > 0).then_some(now_ms);
    Ok(Active {
        base,
        next_offset: scan.next_offset,
        size: end,
        began_ms,
        index: scan.index,
        file,
        path,
    })
}

/// A roll may have taken a segment for synced beside a sync of it that failed: of two, only one is
/// told. The mark says nothing of such a segment yet.
fn sync_again(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let file = disk
        .open(path, Mode::Append)
        .map_err(Error::io("open", path))?;
    let size = file.size().map_err(Error::io("measure", path))?;
    write_again(disk, path, 0..size)?;
    file.sync().map_err(|source| Error::Sync {
        path: path.to_owned(),
        source,
    })
}

/// Writes what stands in a file to where it stands. After a sync that failed, the kernel takes
/// what it did not write for written, and no later sync would write it.
fn write_again(disk: &dyn Disk, path: &Path, part: std::ops::Range<u64>) -> Result<(), Error> {
    const CHUNK: usize = 1 << 20;
    let file = disk
        .open(path, Mode::Write)
        .map_err(Error::io("open", path))?;
    let mut chunk = Vec::new();
    for position in part.clone().step_by(CHUNK) {
        chunk.resize((part.end - position).min(CHUNK as u64) as usize, 0);
        let read = file
            .read_at(&mut chunk, position)
            .map_err(Error::io("read", path))?;
        file.write_at(&chunk[..read], position)
            .map_err(Error::io("write", path))?;
    }
    Ok(())
}

/// Producer state: the newest snapshot, and every batch behind it. One that cannot be read may be
/// of a producer whose next repetition would then be taken for something new, so it is refused.
fn open_producers(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    closed: &VecDeque<Arc<Closed>>,
    active: &Active,
    border: Border,
    now_ms: i64,
) -> Result<Producers, Error> {
    let mut producers = Producers::default();
    let mut known = 0;
    for offset in snapshots(&**disk, folder)?.into_iter().rev() {
        let path = producers_path(folder, offset);
        if offset > active.next_offset {
            // It knows of batches that were cut.
            file::remove_if_there(&**disk, &path)?;
            continue;
        }
        let bytes = file::read_whole(&**disk, &path)?.unwrap_or_default();
        if let Some(snapshot) = Producers::decode(&bytes) {
            (producers, known) = (snapshot, offset);
            break;
        }
    }
    let full = closed.iter().map(|segment| {
        let holes = border.holes_at(segment.base);
        (SoundBatches::of(segment, holes), segment.next_offset)
    });
    let last = (SoundBatches::of_active(active), active.next_offset);
    let unknown = full.chain([last]).filter(|(_, end)| *end > known);
    for (mut batches, _) in unknown {
        while let Some((header, _)) = batches.next()? {
            if header.base_offset >= known {
                producers.note(&header, now_ms);
            }
        }
    }
    Ok(producers)
}

/// The offsets of the snapshots of producer state in a folder, in order.
pub(crate) fn snapshots(disk: &dyn Disk, folder: &Path) -> Result<Vec<i64>, Error> {
    numbers(disk, folder, ".producers")
}

/// The first offsets of the segments in a folder, in order.
pub(crate) fn bases(disk: &dyn Disk, folder: &Path) -> Result<Vec<i64>, Error> {
    numbers(disk, folder, ".log")
}

/// The numbers that name the files of one kind, in order. Other names are left alone.
pub(super) fn numbers(disk: &dyn Disk, folder: &Path, kind: &str) -> Result<Vec<i64>, Error> {
    let names = disk.list(folder).map_err(Error::io("list", folder))?;
    let mut numbers: Vec<i64> = names
        .iter()
        .filter_map(|name| name.strip_suffix(kind))
        .filter(|number| number.len() == 20)
        .filter_map(|number| number.parse().ok())
        .filter(|number| *number >= 0)
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
