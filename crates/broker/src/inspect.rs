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

mod facts;
mod groups;
mod partition;
mod segment;
mod stray;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use facts::{
    BatchFacts, CommittedFacts, Finding, FolderFacts, PartitionFacts, PartitionFolder,
    ProducerFacts, SegmentFacts, Severity, TopicFacts,
};
pub(crate) use segment::empty_batch;

use crate::Error;
use crate::file::{self, Disk, RealDisk};
use crate::folder;
use crate::topics::place::{self, Found};

/// A folder that no broker has open.
#[derive(Debug)]
pub struct Inspector {
    pub(crate) disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Keeps brokers out.
    _lock: Option<File>,
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
                    findings.push(Finding::damage(&path, 0, folder::MISSING));
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
        for found in self.below_topics()? {
            match found {
                Found::Topic(folder) => match self.topic(&folder) {
                    Ok(_) => {}
                    Err(Error::Corrupt {
                        path,
                        position,
                        what,
                    }) => findings.push(Finding::damage(&path, position, what)),
                    Err(error) => return Err(error),
                },
                Found::Foreign(path) => {
                    let what = "this is no topic's folder; the broker leaves it alone";
                    findings.push(Finding::note(&path, what));
                }
            }
        }
        Ok(FolderFacts {
            cluster_id,
            clean: file::read_whole(&*self.disk, &self.path.join("clean"))?.is_some(),
            next_producer_id,
            findings,
        })
    }

    /// All topics, by name, but for folders of which nobody knows which topic it is: see
    /// [`Inspector::facts`].
    pub fn topics(&self) -> Result<Vec<TopicFacts>, Error> {
        let mut topics = Vec::new();
        for found in self.below_topics()? {
            match found {
                // What is wrong is told with the folder's own findings.
                Found::Topic(folder) => topics.extend(self.topic(&folder).ok()),
                Found::Foreign(_) => {}
            }
        }
        topics.sort_by(|one: &TopicFacts, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    fn below_topics(&self) -> Result<Vec<Found>, Error> {
        let live = self.path.join("topics");
        match place::list(&*self.disk, &live) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            found => found,
        }
    }

    fn topic(&self, folder: &Path) -> Result<TopicFacts, Error> {
        let (name, id, count, config) = place::describe(&*self.disk, folder)?;
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
