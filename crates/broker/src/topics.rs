//! The topics: opened and found here, changed in `change`; each change durable before it is seen.
//!
//! `topics/<name>~<id>/` holds one topic: the file `topic` and a folder for each partition. It is
//! made aside under a name that begins with `~` and moved in place, and deleted by moving it to
//! `deleted/`, so that a crash leaves either a whole topic or rubbish that the next open removes.

mod change;
pub(crate) mod config;
mod description;
mod name;
pub(crate) mod place;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use config::{ConfigError, TopicConfig};
pub(crate) use name::TopicName;
use place::Found;
use uuid::Uuid;

use crate::config::TopicDefaults;
use crate::file::{self, Disk};
use crate::log::LogSettings;
use crate::partition::Partition;
use crate::{Error, SyncMode};

/// No client needs more, and each costs files.
const MOST_PARTITIONS: i32 = 10_000;

#[derive(Debug)]
pub(crate) struct Topics {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    mode: SyncMode,
    defaults: TopicDefaults,
    by_name: RwLock<BTreeMap<TopicName, Arc<Topic>>>,
    /// Held over a whole change, which waits for the disk.
    changing: Mutex<()>,
}

/// A topic as it is now; a change makes a new one of the same partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) config: TopicConfig,
    /// What `config` says, read once.
    pub(crate) log_settings: LogSettings,
    /// The largest record batch, bytes.
    pub(crate) max_message_bytes: usize,
    folder: PathBuf,
}

impl Topic {
    /// A topic never has fewer partitions than it had.
    pub(crate) fn may_grow_to(&self, partitions: i32) -> bool {
        may_have(partitions) && partitions > self.partitions.len() as i32
    }
}

/// Whether a topic may have so many partitions.
pub(crate) fn may_have(partitions: i32) -> bool {
    (1..=MOST_PARTITIONS).contains(&partitions)
}

/// Why a topic was not changed.
#[derive(Debug)]
pub(crate) enum Refused {
    Exists,
    /// Another topic's name differs only in `.` and `_`, which Kafka does not tell apart in the
    /// names of metrics.
    Collides {
        with: TopicName,
    },
    Unknown,
    /// The number of partitions is not one that a topic may have, or may get.
    Partitions,
    Config(ConfigError),
    Disk(Error),
    /// A sync failed, and the broker was told to stop for it.
    Stopping,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Disk(error)
    }
}

impl Topics {
    /// Opens all topics below the folder `data`.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        mode: SyncMode,
        defaults: TopicDefaults,
        clean: bool,
        now_ms: i64,
    ) -> Result<Topics, Error> {
        let topics = Topics {
            disk,
            data: data.to_owned(),
            mode,
            defaults,
            by_name: RwLock::default(),
            changing: Mutex::new(()),
        };
        for folder in [topics.live(), topics.deleted()] {
            topics
                .disk
                .create_dir(&folder)
                .map_err(Error::io("create", &folder))?;
        }
        topics
            .disk
            .sync_dir(data)
            .map_err(Error::io("sync", data))?;
        if !clean {
            // What a process that was killed made is seen from now on, and what it deleted is not.
            for folder in [topics.deleted(), topics.live()] {
                topics
                    .disk
                    .sync_dir(&folder)
                    .map_err(Error::io("sync", &folder))?;
            }
        }
        topics.remove_rubbish()?;
        let live = topics.live();
        for found in place::list(&*topics.disk, &live)? {
            let folder = match found {
                Found::Topic(folder) => folder,
                Found::Foreign(path) => {
                    tracing::warn!(path = %path.display(), "this is no topic's folder and is left alone");
                    continue;
                }
            };
            let topic = topics.open_topic(&folder, clean, now_ms)?;
            if topics.find(topic.name.as_str()).is_some() {
                let path = topic.folder.join("topic");
                return Err(Error::corrupt(
                    &path,
                    0,
                    format!("another folder holds a topic {} too", topic.name),
                ));
            }
            topics.put(topic);
        }
        Ok(topics)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name
            .read()
            .expect("no holder panics")
            .get(name)
            .cloned()
    }

    pub(crate) fn find_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.all().into_iter().find(|topic| topic.id == id)
    }

    pub(crate) fn partition(&self, name: &str, number: i32) -> Option<Arc<Partition>> {
        let number = usize::try_from(number).ok()?;
        self.by_name
            .read()
            .expect("no holder panics")
            .get(name)?
            .partitions
            .get(number)
            .cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name
            .read()
            .expect("no holder panics")
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn defaults(&self) -> &TopicDefaults {
        &self.defaults
    }

    fn remove_rubbish(&self) -> Result<(), Error> {
        self.remove_below(&self.live(), place::is_rubbish)?;
        self.remove_below(&self.deleted(), place::is_id)
    }

    fn remove_below(&self, folder: &Path, is_ours: fn(&str) -> bool) -> Result<(), Error> {
        let names = self.disk.list(folder).map_err(Error::io("list", folder))?;
        for name in names.into_iter().filter(|name| is_ours(name)) {
            let path = folder.join(name);
            self.disk
                .remove_dir(&path)
                .map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    fn open_topic(&self, folder: &Path, clean: bool, now_ms: i64) -> Result<Topic, Error> {
        let (name, id, count, config) = place::describe(&*self.disk, folder)?;
        let partitions = (0..count)
            .map(|number| {
                Ok(Arc::new(
                    self.open_partition(folder, number, clean, now_ms)?,
                ))
            })
            .collect::<Result<_, Error>>()?;
        Ok(self.topic(name, id, partitions, config, folder))
    }

    fn topic(
        &self,
        name: TopicName,
        id: Uuid,
        partitions: Vec<Arc<Partition>>,
        config: TopicConfig,
        folder: &Path,
    ) -> Topic {
        let log_settings = config.log_settings(&self.defaults);
        let max_message_bytes = config.max_message_bytes(&self.defaults);
        Topic {
            name,
            id,
            partitions,
            config,
            log_settings,
            max_message_bytes,
            folder: folder.to_owned(),
        }
    }

    fn open_partition(
        &self,
        topic: &Path,
        number: i32,
        clean: bool,
        now_ms: i64,
    ) -> Result<Partition, Error> {
        Partition::open(
            &self.disk,
            &topic.join(number.to_string()),
            self.mode,
            clean,
            now_ms,
        )
    }

    fn save(
        &self,
        folder: &Path,
        name: &TopicName,
        id: Uuid,
        partitions: i32,
        config: &TopicConfig,
    ) -> Result<(), Error> {
        let text = description::write(name, id, partitions, config);
        file::replace(&*self.disk, &folder.join("topic"), text.as_bytes())
    }

    fn put(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.by_name
            .write()
            .expect("no holder panics")
            .insert(topic.name.clone(), topic.clone());
        topic
    }

    fn live(&self) -> PathBuf {
        self.data.join("topics")
    }

    fn deleted(&self) -> PathBuf {
        self.data.join("deleted")
    }
}
