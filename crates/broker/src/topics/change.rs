//! Topics made, grown, configured and deleted: one change at a time, each durable before it is seen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::config::{ConfigError, TopicConfig};
use super::{Refused, Topic, TopicName, Topics, may_have};
use crate::Error;
use crate::file;

impl Topics {
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
        let _change = self.changing.lock().expect("no holder panics");
        self.may_create(&name, partitions)?;
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

    /// Whether there may be such a topic now.
    pub(crate) fn may_create(&self, name: &TopicName, partitions: i32) -> Result<(), Refused> {
        if self.find(name.as_str()).is_some() {
            return Err(Refused::Exists);
        }
        if let Some(with) = self.all().iter().find(|topic| topic.name.collides(name)) {
            let with = with.name.clone();
            return Err(Refused::Collides { with });
        }
        match may_have(partitions) {
            true => Ok(()),
            false => Err(Refused::Partitions),
        }
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
        file::sync_names(&*self.disk, &live)?;
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
        if !topic.may_grow_to(partitions) {
            return Err(Refused::Partitions);
        }
        let now = topic.partitions.len() as i32;
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
        // Said first: a roll or a compaction that then misses its folder knows why.
        for partition in &topic.partitions {
            partition.set_deleted(true);
        }
        if let Err(error) = self.disk.rename(&topic.folder, &grave) {
            for partition in &topic.partitions {
                partition.set_deleted(false);
            }
            return Err(Error::io("delete", &topic.folder)(error).into());
        }
        self.by_name.write().expect("no holder panics").remove(name);
        for folder in [self.deleted(), self.live()] {
            file::sync_names(&*self.disk, &folder)?;
        }
        self.disk
            .remove_dir(&grave)
            .map_err(Error::io("remove", &grave))?;
        Ok(())
    }
}
