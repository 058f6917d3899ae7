//! The topics: made, found, changed, deleted; each change durable before it is seen.
//!
//! `topics/<name>~<id>/` holds one topic: the file `topic` and a folder for each partition. It is
//! made aside under a name that begins with `~` and moved in place, and deleted by moving it to
//! `deleted/`, so that a crash leaves either a whole topic or rubbish that the next open removes.

pub(crate) mod config;
mod name;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use config::{ConfigError, TopicConfig};
pub(crate) use name::TopicName;
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

/// Why a topic was not changed.
#[derive(Debug)]
pub(crate) enum Refused {
    Exists,
    Unknown,
    /// The number of partitions is not one that a topic may have, or may get.
    Partitions,
    Config(ConfigError),
    Disk(Error),
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
        for name in topics.disk.list(&live).map_err(Error::io("list", &live))? {
            let topic = topics.open_topic(&live.join(name), clean, now_ms)?;
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

    /// Makes a topic; waits for the disk. `partitions` of -1 takes the default. `clear` makes
    /// sure that nothing is left of an older topic of that name.
    pub(crate) fn create(
        &self,
        name: TopicName,
        partitions: i32,
        config: TopicConfig,
        now_ms: i64,
        clear: impl FnOnce(&TopicName) -> Result<(), Error>,
    ) -> Result<Arc<Topic>, Refused> {
        let partitions = if partitions == -1 {
            self.defaults.partitions
        } else {
            partitions
        };
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            return Err(Refused::Partitions);
        }
        let _change = self.changing.lock().expect("no holder panics");
        if self.find(name.as_str()).is_some() {
            return Err(Refused::Exists);
        }
        clear(&name)?;
        let id = Uuid::new_v4();
        let made = self.make(&name, id, partitions, config, now_ms);
        if made.is_err() {
            // A full disk is the likely reason; what was made so far must not be found later. It
            // goes by its name first: whatever crashes, no half of it stands for a topic.
            let aside = self.aside(id);
            let place = self.place(&name, id);
            if self.disk.rename(&place, &aside).is_err() {
                let _ = self.disk.remove_dir(&place);
            }
            if self.disk.sync_dir(&self.live()).is_ok() {
                let _ = self.disk.remove_dir(&aside);
            }
        }
        let topic = self.put(made?);
        Ok(topic)
    }

    fn make(
        &self,
        name: &TopicName,
        id: Uuid,
        partitions: i32,
        config: TopicConfig,
        now_ms: i64,
    ) -> Result<Topic, Error> {
        let (aside, place, live) = (self.aside(id), self.place(name, id), self.live());
        self.make_partition_folders(&aside, 0..partitions)?;
        self.save(&aside, name, id, partitions, &config)?;
        self.disk
            .rename(&aside, &place)
            .map_err(Error::io("name", &place))?;
        self.disk
            .sync_dir(&live)
            .map_err(Error::io("sync", &live))?;
        self.open_topic(&place, false, now_ms)
    }

    fn aside(&self, id: Uuid) -> PathBuf {
        self.live().join(format!("~{}", id.simple()))
    }

    /// File names have at most 255 bytes; the name in here is for people, `topic` has it whole.
    fn place(&self, name: &TopicName, id: Uuid) -> PathBuf {
        self.live()
            .join(format!("{:.200}~{}", name.as_str(), id.simple()))
    }

    fn make_partition_folders(
        &self,
        folder: &Path,
        numbers: std::ops::Range<i32>,
    ) -> Result<(), Error> {
        for number in numbers {
            let path = folder.join(number.to_string());
            self.disk
                .create_dir(&path)
                .map_err(Error::io("create", &path))?;
        }
        self.disk
            .sync_dir(folder)
            .map_err(Error::io("sync", folder))
    }

    /// Gives a topic more partitions, up to `partitions` in all; waits for the disk.
    pub(crate) fn grow(&self, name: &str, partitions: i32, now_ms: i64) -> Result<(), Refused> {
        let _change = self.changing.lock().expect("no holder panics");
        let topic = self.find(name).ok_or(Refused::Unknown)?;
        let now = topic.partitions.len() as i32;
        if !(now + 1..=MOST_PARTITIONS).contains(&partitions) {
            return Err(Refused::Partitions);
        }
        self.make_partition_folders(&topic.folder, now..partitions)?;
        let mut all = topic.partitions.clone();
        for number in now..partitions {
            all.push(Arc::new(self.open_partition(
                &topic.folder,
                number,
                false,
                now_ms,
            )?));
        }
        self.save(
            &topic.folder,
            &topic.name,
            topic.id,
            partitions,
            &topic.config,
        )?;
        self.put(self.topic(
            topic.name.clone(),
            topic.id,
            all,
            topic.config.clone(),
            &topic.folder,
        ));
        Ok(())
    }

    /// Replaces what `change` makes of a topic's settings; waits for the disk.
    pub(crate) fn configure(
        &self,
        name: &str,
        change: impl FnOnce(&TopicConfig) -> Result<TopicConfig, ConfigError>,
    ) -> Result<(), Refused> {
        let _change = self.changing.lock().expect("no holder panics");
        let topic = self.find(name).ok_or(Refused::Unknown)?;
        let config = change(&topic.config).map_err(Refused::Config)?;
        self.save(
            &topic.folder,
            &topic.name,
            topic.id,
            topic.partitions.len() as i32,
            &config,
        )?;
        self.put(self.topic(
            topic.name.clone(),
            topic.id,
            topic.partitions.clone(),
            config,
            &topic.folder,
        ));
        Ok(())
    }

    /// Deletes a topic; waits for the disk.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Refused> {
        let _change = self.changing.lock().expect("no holder panics");
        let topic = self.find(name).ok_or(Refused::Unknown)?;
        let grave = self.deleted().join(topic.id.simple().to_string());
        self.disk
            .rename(&topic.folder, &grave)
            .map_err(Error::io("delete", &topic.folder))?;
        self.by_name.write().expect("no holder panics").remove(name);
        for partition in &topic.partitions {
            partition.set_deleted();
        }
        for folder in [self.deleted(), self.live()] {
            self.disk
                .sync_dir(&folder)
                .map_err(Error::io("sync", &folder))?;
        }
        self.disk
            .remove_dir(&grave)
            .map_err(Error::io("remove", &grave))?;
        Ok(())
    }

    fn remove_rubbish(&self) -> Result<(), Error> {
        for (folder, sign) in [(self.live(), "~"), (self.deleted(), "")] {
            for name in self
                .disk
                .list(&folder)
                .map_err(Error::io("list", &folder))?
            {
                if name.starts_with(sign) {
                    let path = folder.join(name);
                    self.disk
                        .remove_dir(&path)
                        .map_err(Error::io("remove", &path))?;
                }
            }
        }
        Ok(())
    }

    fn open_topic(&self, folder: &Path, clean: bool, now_ms: i64) -> Result<Topic, Error> {
        let path = folder.join("topic");
        let bytes = file::read_whole(&*self.disk, &path)?;
        let bytes = bytes.ok_or_else(|| Error::corrupt(&path, 0, "the file is missing"))?;
        let saved = parse(&String::from_utf8_lossy(&bytes));
        let (name, id, count, config) = saved
            .ok_or_else(|| Error::corrupt(&path, 0, "this is not the description of a topic"))?;
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
        let mut text = format!("name={name}\nid={id}\npartitions={partitions}\n");
        for (key, value) in config.overrides() {
            text += &format!("config.{key}={value}\n");
        }
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

/// What [`Topics::save`] wrote.
pub(crate) fn parse(text: &str) -> Option<(TopicName, Uuid, i32, TopicConfig)> {
    let mut config = TopicConfig::default();
    let (mut name, mut id, mut partitions) = (None, None, None);
    for line in text.lines() {
        let (key, value) = line.split_once('=')?;
        match key {
            "name" => name = TopicName::parse(value).ok(),
            "id" => id = value.parse().ok(),
            "partitions" => partitions = value.parse().ok(),
            _ => config.set(key.strip_prefix("config.")?, value).ok()?,
        }
    }
    Some((
        name?,
        id?,
        partitions.filter(|count| (1..=MOST_PARTITIONS).contains(count))?,
        config,
    ))
}
