//! A whole partition: its segments one after another, and what is beside them.
//!
//! | found | is |
//! |---|---|
//! | bytes that are no sound batch, a sound one behind them | damage: the offsets between are gone |
//! | likewise at the end of a segment that is not the last, or before the mark | damage |
//! | likewise at the very end, behind the mark | torn: never acknowledged |
//! | a segment that begins behind the end of the one before | damage: the offsets between are gone |
//! | a log that ends before its mark | damage: likewise |
//! | a segment's name on a file in which nothing of the log can be | damage: a stray, see [`stray`] |
//! | an index, a snapshot of producers that is missing or not whole | a note: they are made anew |

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::segment::{Found, Reader};
use super::stray;
use super::{
    BatchFacts, Finding, PartitionFacts, PartitionFolder, ProducerFacts, SegmentFacts, Severity,
};
use crate::Error;
use crate::batch::Header;
use crate::file::{self, Disk, Mode};
use crate::log::{
    self, FARTHEST, Index, Mark, Producers, mark, producers_path, segment_path, snapshots,
};

type Visit<'a> = &'a mut dyn FnMut(&BatchFacts<'_>) -> bool;

struct Walk<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    may_have_holes: &'a dyn Fn(i64) -> bool,
    mark: Option<Mark>,
    facts: PartitionFacts,
    producers: Producers,
    /// `producers` knows everything before.
    known: i64,
    visit: Option<Visit<'a>>,
}

pub(super) fn read(
    disk: &dyn Disk,
    partition: &PartitionFolder,
    visit: Visit<'_>,
) -> Result<PartitionFacts, Error> {
    let folder = &partition.path;
    let mark = mark::read(disk, folder)?;
    let mut segments = segments(disk, folder)?;
    let strays = stray::take_out(disk, &mut segments, mark)?;
    let bases: Vec<i64> = segments.iter().map(|(base, _)| *base).collect();
    let may_have_holes = log::holes(disk, folder)?;
    let mut walk = Walk {
        disk,
        folder,
        may_have_holes: &may_have_holes,
        mark,
        facts: PartitionFacts {
            synced_offset: mark.map(|mark| mark.synced.offset),
            is_being_compacted: segments.iter().any(|(_, path)| is_swap(path)),
            ..PartitionFacts::default()
        },
        producers: Producers::default(),
        known: 0,
        visit: Some(visit),
    };
    let told = strays
        .iter()
        .map(|(path, size)| Finding::stray(path, *size));
    walk.facts.findings.extend(told);
    walk.look_beside()?;
    walk.load_producers()?;
    walk.begin(&bases);
    for (at, (base, path)) in segments.iter().enumerate() {
        walk.segment(*base, path, bases.get(at + 1).copied())?;
    }
    walk.end(&bases);
    let known = walk.producers.known().map(|producer| ProducerFacts {
        id: producer.id,
        epoch: producer.epoch,
        last_sequence: producer.last_sequence,
        last_offset: producer.last_offset,
    });
    let mut producers: Vec<_> = known.collect();
    producers.sort_unstable();
    walk.facts.producers = producers;
    Ok(walk.facts)
}

impl Walk<'_> {
    fn begin(&mut self, bases: &[i64]) {
        let marked = self.mark.map(|mark| mark.start_offset);
        let first = bases.first().copied().or(marked).unwrap_or(0);
        let start = marked.unwrap_or(0);
        self.facts.start_offset = start.max(first);
        self.facts.end_offset = first;
        if start < first {
            let path = segment_path(self.folder, start);
            self.lose(
                &path,
                0..0,
                start..first,
                "the log's first segment is missing",
            );
        }
    }

    fn segment(&mut self, base: i64, path: &Path, next_base: Option<i64>) -> Result<(), Error> {
        let path = path.to_owned();
        let expected = self.facts.end_offset;
        if base.saturating_sub(expected) > FARTHEST {
            let what = format!(
                "it is named as the segment from offset {base}, and the one before it ends at \
                 {expected}: no segment of this log can be so far behind; move it out of the folder"
            );
            return Err(Error::corrupt(&path, 0, what));
        }
        if base < expected {
            let what = format!(
                "it begins at offset {base}, and the segment before it ends at {expected}: one of \
                         the two is not of this log; move that one out of the folder"
            );
            self.facts.findings.push(Finding::damage(&path, 0, what));
            self.facts.end_offset = base;
        } else if base > expected {
            // Told where the missing bytes would be: at the end of the file before.
            let before = self.facts.segments.last();
            let (path, end) = before.map_or((path.clone(), 0), |s| (s.path.clone(), s.bytes));
            let what = "the log goes on at a later offset in the next file: this one ends early, or \
                        a file is missing";
            self.lose(&path, end..end, expected..base, what);
            self.facts.end_offset = base;
        }
        let opened = self.disk.open(&path, Mode::Read);
        let file = opened.map_err(Error::io("open", &path))?;
        let mut reader = Reader::new(&*file).map_err(Error::io("read", &path))?;
        self.facts.segments.push(SegmentFacts {
            path: path.clone(),
            first_offset: base,
            next_offset: base,
            bytes: reader.size,
            batches: 0,
            records: 0,
            newest_ms: -1,
        });
        self.batches(&path, &mut reader, base, next_base)
            .map_err(Error::io("read", &path))?;
        self.index(&path, base, reader.size, next_base.is_none())
    }

    fn batches(
        &mut self,
        path: &Path,
        reader: &mut Reader<'_>,
        base: i64,
        next_base: Option<i64>,
    ) -> std::io::Result<()> {
        let mut position = 0;
        let may_have_holes = (self.may_have_holes)(base);
        loop {
            let expected = self.facts.end_offset;
            let limit = next_base
                .unwrap_or(i64::MAX)
                .min(expected.saturating_add(FARTHEST));
            let anywhere = expected..limit.max(expected);
            let found = reader.batch_at(position, &anywhere)?;
            let found = match found {
                // Only compaction leaves holes.
                Found::Batch(header, _) if !may_have_holes && header.base_offset != expected => {
                    if stands_in_place(reader, position, &header, expected)? {
                        Found::Bad("the batch says that it stands at another offset")
                    } else {
                        let what = "offsets are missing between two batches";
                        let lost = expected..header.base_offset;
                        self.lose(path, position..position, lost, what);
                        self.facts.end_offset = header.base_offset;
                        continue;
                    }
                }
                found => found,
            };
            match found {
                Found::End => return Ok(()),
                Found::Batch(header, head) => {
                    let segment = self.facts.segments.last_mut().expect("this one");
                    segment.batches += 1;
                    segment.records += u64::from(header.records.max(0) as u32);
                    segment.newest_ms = segment.newest_ms.max(header.max_timestamp);
                    segment.next_offset = header.next_offset();
                    self.facts.end_offset = header.next_offset();
                    if header.base_offset >= self.known {
                        self.producers.note(&header, 0);
                    }
                    let batch = BatchFacts {
                        segment: path,
                        position,
                        bytes: header.size as u64,
                        first_offset: header.base_offset,
                        next_offset: header.next_offset(),
                        records: header.records.max(0) as u32,
                        codec: head.codec,
                        base_ms: head.base_ms,
                        newest_ms: header.max_timestamp,
                        producer_id: header.producer_id,
                        producer_epoch: header.producer_epoch,
                        first_sequence: header.base_sequence,
                    };
                    if let Some(visit) = &mut self.visit
                        && !visit(&batch)
                    {
                        self.visit = None;
                    }
                    position += header.size as u64;
                }
                Found::Bad(what) => {
                    let Some(sound) = reader.sound_after(position + 1, &anywhere)? else {
                        self.tail(path, position..reader.size, base, next_base, what);
                        return Ok(());
                    };
                    let Found::Batch(header, _) = reader.batch_at(sound, &anywhere)? else {
                        unreachable!("it was just found there");
                    };
                    let lost = expected..header.base_offset;
                    self.lose(path, position..sound, lost, what);
                    self.facts.end_offset = header.base_offset;
                    position = sound;
                }
            }
        }
    }

    /// Nothing sound follows in this segment.
    fn tail(
        &mut self,
        path: &Path,
        bytes: Range<u64>,
        base: i64,
        next_base: Option<i64>,
        what: &str,
    ) {
        let expected = self.facts.end_offset;
        if let Some(next) = next_base {
            self.lose(path, bytes, expected..next.max(expected), what);
            self.facts.end_offset = next.max(expected);
            return;
        }
        let synced = self.mark.map(|mark| mark.synced);
        let synced = synced.filter(|synced| synced.segment >= base);
        let before_mark =
            synced.is_some_and(|synced| synced.segment > base || bytes.start < synced.position);
        if before_mark {
            let end = synced.map_or(expected, |synced| synced.offset.max(expected));
            self.lose(path, bytes, expected..end, what);
            self.facts.end_offset = end;
        } else {
            self.facts.findings.push(Finding {
                severity: Severity::Torn,
                bytes,
                ..Finding::note(
                    path,
                    format!("{what}, at the log's end and behind its mark"),
                )
            });
        }
    }

    fn end(&mut self, bases: &[i64]) {
        let end = self.facts.end_offset;
        let Some(mark) = self.mark else { return };
        let last = bases.last().copied().unwrap_or(end);
        let path = segment_path(self.folder, last);
        let size = self
            .facts
            .segments
            .last()
            .map_or(0, |segment| segment.bytes);
        if mark.synced.offset <= end {
            let told = self.facts.findings.iter().any(|found| found.path == path);
            if mark.synced.segment == last && mark.synced.position > size && !told {
                let what = "it says that the last segment is longer than it is";
                let path = self.folder.join("mark");
                self.facts.findings.push(Finding::damage(&path, 0, what));
            }
            return;
        }
        let what = "the log ends before the point up to which it was synced";
        self.lose(&path, size..size, end..mark.synced.offset, what);
        self.facts.end_offset = mark.synced.offset;
    }

    fn lose(&mut self, path: &Path, bytes: Range<u64>, lost: Range<i64>, what: &str) {
        let synced = self.mark.map_or(i64::MAX, |mark| mark.synced.offset);
        self.facts.findings.push(Finding {
            severity: Severity::Damage,
            path: path.to_owned(),
            bytes,
            acknowledged: lost.start < synced,
            lost,
            is_stray: false,
            what: what.to_owned(),
        });
    }

    fn index(&mut self, path: &Path, base: i64, size: u64, is_last: bool) -> Result<(), Error> {
        let index = if is_swap(path) { "swapindex" } else { "index" };
        let path = path.with_extension(index);
        let there = file::read_whole(self.disk, &path)?.is_some();
        let summary = Index::load(self.disk, &path, base)?.map(|(_, summary)| summary);
        let what = match summary {
            // The last segment's is made when it is full, or at a stop.
            None if is_last && !there => return Ok(()),
            None if there => "it is not whole; it is made anew",
            None => "it is missing; it is made anew",
            Some(summary) if summary.size != size => "it is of another size of its segment",
            Some(_) => return Ok(()),
        };
        self.facts.findings.push(Finding::note(&path, what));
        Ok(())
    }

    fn load_producers(&mut self) -> Result<(), Error> {
        for offset in snapshots(self.disk, self.folder)?.into_iter().rev() {
            let path = producers_path(self.folder, offset);
            let bytes = file::read_whole(self.disk, &path)?.unwrap_or_default();
            match Producers::decode(&bytes) {
                Some(snapshot) => {
                    (self.producers, self.known) = (snapshot, offset);
                    return Ok(());
                }
                None => {
                    let what = "it is not whole; what it knew is read from the log";
                    self.facts.findings.push(Finding::note(&path, what));
                }
            }
        }
        Ok(())
    }

    /// Files that are not the log's.
    fn look_beside(&mut self) -> Result<(), Error> {
        let names = self.disk.list(self.folder);
        for name in names.map_err(Error::io("list", self.folder))? {
            let numbered = |kind: &str| {
                (name.strip_suffix(kind))
                    .is_some_and(|n| n.len() == 20 && n.bytes().all(|b| b.is_ascii_digit()))
            };
            let ours = [
                ".log",
                ".index",
                ".producers",
                ".cleaned",
                ".swap",
                ".swapindex",
            ]
            .iter()
            .any(|kind| numbered(kind))
                || ["mark", "compaction"].contains(&name.as_str())
                || name.ends_with(".new");
            if !ours {
                let path = self.folder.join(&name);
                self.facts.findings.push(Finding::note(
                    &path,
                    "a file that no broker made; it is left alone",
                ));
            }
        }
        Ok(())
    }
}

/// First offsets and files, in order. Where a compaction was interrupted, what it wrote stands in
/// place of what it was made from.
fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let bases = log::bases(disk, folder)?;
    let mut segments: BTreeMap<i64, PathBuf> = bases
        .into_iter()
        .map(|base| (base, segment_path(folder, base)))
        .collect();
    for name in disk.list(folder).map_err(Error::io("list", folder))? {
        let path = folder.join(name);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(base) = stem.filter(|_| is_swap(&path)).and_then(|s| s.parse().ok()) else {
            continue;
        };
        let index = Index::load(disk, &path.with_extension("swapindex"), base)?;
        let until = index.map_or(base, |(_, summary)| summary.next_offset);
        segments.retain(|other, _| !(base..until).contains(other));
        segments.insert(base, path);
    }
    Ok(segments.into_iter().collect())
}

fn is_swap(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "swap")
}

/// Whether the batch behind goes on as if this one, whose offset no sum covers, stood at
/// `expected`.
fn stands_in_place(
    reader: &mut Reader<'_>,
    position: u64,
    header: &Header,
    expected: i64,
) -> std::io::Result<bool> {
    let behind = position + header.size as u64;
    let next = expected + (header.next_offset() - header.base_offset);
    let found = reader.batch_at(behind, &(next..i64::MAX))?;
    Ok(matches!(found, Found::Batch(header, _) if header.base_offset == next))
}
