//! Making a damaged folder one that a broker opens, without hiding what is lost.
//!
//! A broker cuts only what was never acknowledged, and stops over everything else. Here a person
//! decides: [`Repair::plan`] changes nothing and says what would be cut, [`Repair::apply`] does
//! it.
//!
//! - Bytes that make no sense are cut out of their file, and kept aside.
//! - What is sound stays, byte for byte, at the offset that it has: also behind the damage.
//! - A file that only has a segment's name is set aside, and the log ends where it ended.
//! - Offsets that are gone are taken up by empty batches, as compaction leaves them. So none is
//!   ever given again, and readers go on behind them.
//!
//! Every file is written anew beside the old one and takes its place when it is on disk. A repair
//! that was interrupted is planned again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::file::{self, Disk as _, RealDisk};
use crate::inspect::{Finding, Inspector, PartitionFolder, Severity, empty_batch};
use crate::log::{self, Mark, MarkFile, Point, mark, segment_path};

const CHUNK: usize = 1 << 20;
/// A batch counts its offsets in 31 bits.
const MOST_OFFSETS: i64 = 1 << 31;

/// What is to be done about a folder. Nobody else has it meanwhile.
#[derive(Debug)]
pub struct Repair {
    folder: Inspector,
    partitions: Vec<Broken>,
    beyond: Vec<Finding>,
}

#[derive(Debug)]
struct Broken {
    folder: PathBuf,
    start_offset: i64,
    end_offset: i64,
    findings: Vec<Finding>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Where the bytes are that were cut out or set aside.
    pub aside: PathBuf,
    pub cut_bytes: u64,
    pub lost_offsets: u64,
}

impl Repair {
    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// As of [`Inspector::open`].
    pub fn plan(path: &Path) -> Result<Repair, Error> {
        let folder = Inspector::open_alone(path)?;
        let mut beyond = folder.facts()?.findings;
        beyond.retain(|finding| finding.severity > Severity::Note);
        let mut partitions = Vec::new();
        let of_topics = folder.topics()?.into_iter().flat_map(|t| t.partitions);
        for partition in of_topics.chain(folder.offsets_log()?) {
            let facts = folder.partition(&partition, |_| true)?;
            let mut findings = facts.findings;
            findings.retain(|finding| finding.severity > Severity::Note);
            let (mendable, rest) = findings
                .into_iter()
                .partition(|f| !facts.is_being_compacted && is_mendable(f, &partition));
            beyond.extend::<Vec<_>>(rest);
            let broken = Broken {
                folder: partition.path,
                start_offset: facts.start_offset,
                end_offset: facts.end_offset,
                findings: mendable,
            };
            if !broken.findings.is_empty() {
                partitions.push(broken);
            }
        }
        Ok(Repair {
            folder,
            partitions,
            beyond,
        })
    }

    /// What will be cut out, set aside or taken up.
    pub fn cuts(&self) -> impl Iterator<Item = &Finding> {
        self.partitions.iter().flat_map(|broken| &broken.findings)
    }

    /// What needs a backup or a person.
    pub fn beyond(&self) -> &[Finding] {
        &self.beyond
    }

    /// Does it; what is cut out goes below `aside`, which is made.
    pub fn apply(self, aside: &Path) -> Result<Repaired, Error> {
        let mut repaired = Repaired {
            aside: aside.to_owned(),
            cut_bytes: 0,
            lost_offsets: 0,
        };
        // What was left in order is so no more.
        let root = self.folder.path();
        file::remove_if_there(&RealDisk, &root.join("clean"))?;
        RealDisk.sync_dir(root).map_err(Error::io("sync", root))?;
        for broken in &self.partitions {
            let mut by_file: BTreeMap<&Path, Vec<&Finding>> = BTreeMap::new();
            for finding in &broken.findings {
                by_file.entry(&finding.path).or_default().push(finding);
            }
            by_file.remove(&*broken.folder.join("mark"));
            for (path, findings) in by_file {
                keep_aside(root, path, &findings, aside)?;
                match findings.iter().any(|finding| finding.is_stray) {
                    true => remove(path)?,
                    false => rewrite(path, &findings)?,
                }
                for finding in findings {
                    repaired.cut_bytes += finding.bytes.end - finding.bytes.start;
                    repaired.lost_offsets += (finding.lost.end - finding.lost.start) as u64;
                }
            }
            write_mark(broken)?;
        }
        Ok(repaired)
    }
}

/// Whether something can be cut out or taken up.
fn is_mendable(finding: &Finding, partition: &PartitionFolder) -> bool {
    let is_mark = finding.path == partition.path.join("mark");
    finding.is_stray || is_mark || !(finding.bytes.is_empty() && finding.lost.is_empty())
}

/// Saves the bytes that will be cut out of a file.
fn keep_aside(root: &Path, path: &Path, findings: &[&Finding], aside: &Path) -> Result<(), Error> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let folder = aside.join(below);
    for finding in findings {
        if finding.bytes.is_empty() {
            continue;
        }
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let Range { start, end } = finding.bytes;
        let kept = folder.join(format!("{start}-{end}"));
        let mut into = File::create(&kept).map_err(Error::io("create", &kept))?;
        copy(path, start..end, &kept, &mut into)?;
        into.sync_all().map_err(Error::io("sync", &kept))?;
        RealDisk
            .sync_dir(&folder)
            .map_err(Error::io("sync", &folder))?;
    }
    Ok(())
}

/// Removes a file that was never a segment, and what the broker may have made of it.
fn remove(path: &Path) -> Result<(), Error> {
    let folder = path.parent().expect("a segment stands in a folder");
    file::remove_if_there(&RealDisk, &path.with_extension("index"))?;
    file::remove_if_there(&RealDisk, path)?;
    RealDisk.sync_dir(folder).map_err(Error::io("sync", folder))
}

/// Writes a segment anew without what makes no sense.
fn rewrite(path: &Path, findings: &[&Finding]) -> Result<(), Error> {
    let folder = path.parent().expect("a segment stands in a folder");
    let anew = path.with_extension("new");
    file::remove_if_there(&RealDisk, &anew)?;
    let mut into = File::create(&anew).map_err(Error::io("create", &anew))?;
    let size = std::fs::metadata(path).map_or(0, |facts| facts.len());
    let mut at = 0;
    for finding in findings {
        copy(path, at..finding.bytes.start, &anew, &mut into)?;
        take_up(&finding.lost, &anew, &mut into)?;
        at = finding.bytes.end;
    }
    copy(path, at..size, &anew, &mut into)?;
    into.sync_all().map_err(Error::io("sync", &anew))?;
    // It is of the old bytes; the broker makes it anew.
    file::remove_if_there(&RealDisk, &path.with_extension("index"))?;
    std::fs::rename(&anew, path).map_err(Error::io("replace", path))?;
    RealDisk.sync_dir(folder).map_err(Error::io("sync", folder))
}

fn take_up(lost: &Range<i64>, path: &Path, into: &mut File) -> Result<(), Error> {
    let mut from = lost.start;
    while from < lost.end {
        let to = lost.end.min(from + MOST_OFFSETS);
        let batch = empty_batch(&(from..to));
        into.write_all(&batch).map_err(Error::io("write", path))?;
        from = to;
    }
    Ok(())
}

fn copy(from: &Path, bytes: Range<u64>, path: &Path, into: &mut File) -> Result<(), Error> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut file = File::open(from).map_err(Error::io("open", from))?;
    file.seek(SeekFrom::Start(bytes.start))
        .map_err(Error::io("read", from))?;
    let mut left = file.take(bytes.end - bytes.start);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = left.read(&mut buffer).map_err(Error::io("read", from))?;
        if read == 0 {
            return Ok(());
        }
        into.write_all(&buffer[..read])
            .map_err(Error::io("write", path))?;
    }
}

/// Says that everything is synced now, up to the log's end as it is.
fn write_mark(broken: &Broken) -> Result<(), Error> {
    let folder = &broken.folder;
    let Some(last) = log::bases(&RealDisk, folder)?.last().copied() else {
        return Ok(());
    };
    let path = segment_path(folder, last);
    let position = std::fs::metadata(&path)
        .map_err(Error::io("measure", &path))?
        .len();
    let marked = mark::read(&RealDisk, folder)?.map(|mark| mark.start_offset);
    let mark = Mark {
        start_offset: marked.unwrap_or(broken.start_offset),
        synced: Point {
            offset: broken.end_offset,
            segment: last,
            position,
        },
    };
    let (file, _) = MarkFile::open(&RealDisk, folder)?;
    // Both places: the one that says more would count.
    for turn in 0..2 {
        file.write(&mark, turn)?;
    }
    file.sync()
}
