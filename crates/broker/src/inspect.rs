//! Looking into the folder of a broker that is stopped, without changing a byte of it.
//!
//! ```no_run
//! use compline_broker::inspect::Inspector;
//!
//! # fn main() -> Result<(), compline_broker::Error> {
//! let folder = Inspector::open("data/log".as_ref())?;
//! for topic in folder.topics()? {
//!     for partition in &topic.partitions {
//!         let facts = folder.partition(partition, |_| true)?;
//!         println!("{} {}: up to {}", topic.name, partition.number, facts.end_offset);
//!         for finding in facts.findings {
//!             println!("{finding}");
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every sum of every batch is checked. Whatever is found is told with file and byte, and reading
//! goes on behind it. Memory does not grow with the log: a batch is summed up piece by piece.
//! What to do about damage is for [`crate::repair`].

mod groups;
mod partition;
mod segment;

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

pub(crate) use segment::empty_batch;

use crate::Error;
use crate::file::{self, Disk, RealDisk};
use crate::folder;
use crate::topics;

/// A folder that no broker has open.
#[derive(Debug)]
pub struct Inspector {
    pub(crate) disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Keeps brokers out.
    _lock: Option<File>,
}

/// What the folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFacts {
    pub cluster_id: String,
    /// Whether the last broker stopped in order.
    pub clean: bool,
    /// No producer id from here on was given so far.
    pub next_producer_id: Option<i64>,
    /// What is wrong with the folder's own files.
    pub findings: Vec<Finding>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    pub name: String,
    pub id: Uuid,
    /// What was set for it; the rest has the broker's defaults.
    pub settings: Vec<(String, String)>,
    pub partitions: Vec<PartitionFolder>,
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFolder {
    pub number: i32,
    pub path: PathBuf,
}

/// What a partition holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Where it begins for readers: what stands before was deleted.
    pub start_offset: i64,
    /// Where it ends, torn tails left out.
    pub end_offset: i64,
    /// Up to where it was synced, as its mark says; exact unless the machine lost its power.
    pub synced_offset: Option<i64>,
    pub segments: Vec<SegmentFacts>,
    pub producers: Vec<ProducerFacts>,
    /// Whether a compaction was interrupted, which the broker finishes when it opens.
    pub is_being_compacted: bool,
    pub findings: Vec<Finding>,
}

/// One file of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    pub path: PathBuf,
    pub first_offset: i64,
    pub next_offset: i64,
    pub bytes: u64,
    pub batches: u64,
    pub records: u64,
    /// The largest timestamp, milliseconds since 1970; -1 when there is none.
    pub newest_ms: i64,
}

/// One batch, as its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts<'a> {
    pub segment: &'a Path,
    /// Where in the file it begins.
    pub position: u64,
    pub bytes: u64,
    pub first_offset: i64,
    pub next_offset: i64,
    pub records: u32,
    /// `none`, `gzip`, `snappy`, `lz4`, `zstd`, or `?`.
    pub codec: &'static str,
    /// Of the first record, milliseconds since 1970.
    pub base_ms: i64,
    /// The largest.
    pub newest_ms: i64,
    /// -1 without a producer id; so are epoch and sequence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub first_sequence: i32,
}

/// What is remembered of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerFacts {
    pub id: i64,
    pub epoch: i16,
    /// Of its last record.
    pub last_sequence: i32,
    pub last_offset: i64,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommittedFacts {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub metadata: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The broker makes it anew when it opens.
    Note,
    /// A write that a crash tore. It was never acknowledged; the broker cuts it when it opens.
    Torn,
    /// Something that was on disk is not there any more. The broker does not open over it.
    Damage,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub path: PathBuf,
    /// The bytes that make no sense; empty where some are missing.
    pub bytes: Range<u64>,
    /// The offsets that went with them.
    pub lost: Range<i64>,
    /// Whether the mark says that these were synced, and so may have been acknowledged.
    pub acknowledged: bool,
    pub what: String,
}

impl Finding {
    fn note(path: &Path, what: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Note,
            path: path.to_owned(),
            bytes: 0..0,
            lost: 0..0,
            acknowledged: false,
            what: what.into(),
        }
    }

    fn damage(path: &Path, position: u64, what: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Damage,
            bytes: position..position,
            ..Finding::note(path, what)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, bytes, lost) = (self.path.display(), &self.bytes, &self.lost);
        write!(f, "{path} at byte {}: {}", bytes.start, self.what)?;
        if !bytes.is_empty() {
            write!(f, "; {} bytes make no sense", bytes.end - bytes.start)?;
        }
        if !lost.is_empty() {
            let count = lost.end - lost.start;
            let last = lost.end - 1;
            write!(
                f,
                "; the offsets {} to {last} ({count}) are gone",
                lost.start
            )?;
            let acknowledged = if self.acknowledged { "" } else { "not " };
            write!(f, ", {acknowledged}acknowledged")?;
        }
        Ok(())
    }
}

impl Inspector {
    /// # Errors
    /// [`Error::InUse`] while a broker has the folder, [`Error::Format`] where it is no broker's.
    pub fn open(path: &Path) -> Result<Inspector, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        folder::check_is_log(&*disk, path)?;
        let lock_path = path.join("lock");
        let lock = match File::open(&lock_path) {
            Ok(lock) => Some(lock),
            // A copy need not have one; whoever opens it makes one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("open", &lock_path)(error)),
        };
        // Others may look at the same time.
        if let Some(lock) = &lock {
            taken(lock.try_lock_shared(), path)?;
        }
        Ok(Inspector {
            disk,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// As [`Inspector::open`], and nobody else may look meanwhile.
    pub(crate) fn open_alone(path: &Path) -> Result<Inspector, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        folder::check_is_log(&*disk, path)?;
        let lock_path = path.join("lock");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false);
        let lock = options
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        taken(lock.try_lock(), path)?;
        Ok(Inspector {
            disk,
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn facts(&self) -> Result<FolderFacts, Error> {
        let mut findings = Vec::new();
        let mut text = |name: &str| -> Result<String, Error> {
            let path = self.path.join(name);
            match file::read_whole(&*self.disk, &path)? {
                Some(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
                None => {
                    findings.push(Finding::damage(&path, 0, "the file is missing"));
                    Ok(String::new())
                }
            }
        };
        let cluster_id = text("cluster-id")?;
        let given = text("producer-ids")?;
        let next_producer_id = given.parse().ok();
        if next_producer_id.is_none() && !given.is_empty() {
            let path = self.path.join("producer-ids");
            findings.push(Finding::damage(&path, 0, "this is not a number"));
        }
        Ok(FolderFacts {
            cluster_id,
            clean: file::read_whole(&*self.disk, &self.path.join("clean"))?.is_some(),
            next_producer_id,
            findings,
        })
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a folder of which nobody knows which topic it is.
    pub fn topics(&self) -> Result<Vec<TopicFacts>, Error> {
        let live = self.path.join("topics");
        let mut found = Vec::new();
        for folder in self.list(&live)? {
            // One that was being made.
            if folder.starts_with('~') {
                continue;
            }
            found.push(self.topic(&live.join(folder))?);
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn topic(&self, folder: &Path) -> Result<TopicFacts, Error> {
        let path = folder.join("topic");
        let bytes = file::read_whole(&*self.disk, &path)?;
        let bytes = bytes.ok_or_else(|| Error::corrupt(&path, 0, "the file is missing"))?;
        let saved = topics::parse(&String::from_utf8_lossy(&bytes));
        let (name, id, count, config) = saved
            .ok_or_else(|| Error::corrupt(&path, 0, "this is not the description of a topic"))?;
        let settings: Vec<(String, String)> = (config.overrides())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let partitions = (0..count).map(|number| PartitionFolder {
            number,
            path: folder.join(number.to_string()),
        });
        Ok(TopicFacts {
            name: name.to_string(),
            id,
            settings,
            partitions: partitions.collect(),
        })
    }

    /// Reads a whole partition; `visit` sees every sound batch and says whether to go on.
    pub fn partition(
        &self,
        partition: &PartitionFolder,
        mut visit: impl FnMut(&BatchFacts<'_>) -> bool,
    ) -> Result<PartitionFacts, Error> {
        partition::read(&*self.disk, partition, &mut visit)
    }

    /// Where the committed offsets are kept, in the form of a partition.
    pub fn offsets_log(&self) -> Result<Option<PartitionFolder>, Error> {
        let folder = self.path.join("offsets");
        let editions = self.list(&folder)?;
        let newest = editions.iter().filter_map(|name| name.parse::<u64>().ok());
        Ok(newest.max().map(|edition| PartitionFolder {
            number: 0,
            path: folder.join(edition.to_string()),
        }))
    }

    /// What groups have committed.
    pub fn committed(&self) -> Result<Vec<CommittedFacts>, Error> {
        match self.offsets_log()? {
            Some(log) => groups::read(&*self.disk, &log),
            None => Ok(Vec::new()),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, Error> {
        match self.disk.list(folder) {
            Ok(names) => Ok(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("list", folder)(error)),
        }
    }
}

fn taken(lock: Result<(), TryLockError>, folder: &Path) -> Result<(), Error> {
    match lock {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", folder)(error)),
    }
}
