//! Committed offsets: a map, and the internal log that it is read from.
//!
//! The log is a partition like any other, so a commit is acknowledged by the same sync as a
//! record. It is never read while the broker runs. Each folder below `offsets/` is one edition of
//! it; a smaller edition is written aside, with what still counts, and then takes its place.

mod edition;
mod entry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use edition::Editions;
pub(crate) use edition::fold;
pub(crate) use entry::{Committed, Key};

use crate::file::Disk;
use crate::log::AppendError;
use crate::partition::Partition;
use crate::{Error, SyncMode};

/// A log below this size is left as it is.
const WORTH_COMPACTING: u64 = 8 << 20;

#[derive(Debug)]
pub(crate) struct Offsets {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    mode: SyncMode,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    edition: u64,
    log: Arc<Partition>,
    by_key: BTreeMap<Key, Committed>,
    /// Bytes of the edition when it was new.
    first_bytes: u64,
}

/// What must be synced before a change, or a look at the map, may be answered.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pending {
    pub(crate) log: Arc<Partition>,
    pub(crate) until: i64,
}

impl Offsets {
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        mode: SyncMode,
        clean: bool,
        now_ms: i64,
    ) -> Result<Offsets, Error> {
        let folder = data.join("offsets");
        disk.create_dir(&folder)
            .map_err(Error::io("create", &folder))?;
        disk.sync_dir(data).map_err(Error::io("sync", data))?;
        let editions = Editions {
            disk: &disk,
            folder: &folder,
            mode,
        };
        let (edition, log) = editions.open_newest(clean, now_ms)?;
        let log = Arc::new(log);
        let by_key = edition::read_all(&log)?;
        Ok(Offsets {
            disk,
            folder,
            mode,
            state: Mutex::new(State {
                edition,
                log,
                by_key,
                first_bytes: 0,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Writes commits; they count when the result is synced.
    pub(crate) fn commit(
        &self,
        entries: Vec<(Key, Committed)>,
        now_ms: i64,
    ) -> Result<Pending, AppendError> {
        self.change(
            entries
                .into_iter()
                .map(|(key, committed)| (key, Some(committed)))
                .collect(),
            now_ms,
        )
    }

    /// Forgets the offsets for which `gone` holds.
    pub(crate) fn forget(
        &self,
        gone: impl Fn(&Key) -> bool,
        now_ms: i64,
    ) -> Result<Pending, AppendError> {
        let keys: Vec<_> = self
            .state()
            .by_key
            .keys()
            .filter(|key| gone(key))
            .cloned()
            .collect();
        self.change(keys.into_iter().map(|key| (key, None)).collect(), now_ms)
    }

    /// Forgets all offsets of a topic, durably; waits for the disk.
    pub(crate) fn clear_topic(&self, topic: &str, now_ms: i64) -> Result<(), Error> {
        let gone = self.forget(|key| key.topic == topic, now_ms);
        let gone = gone.map_err(|error| Error::Stopped {
            what: format!("offsets of the topic {topic} cannot be deleted: {error:?}"),
        })?;
        gone.log.sync().map(|_| ())
    }

    fn change(
        &self,
        entries: Vec<(Key, Option<Committed>)>,
        now_ms: i64,
    ) -> Result<Pending, AppendError> {
        let mut state = self.state();
        if !entries.is_empty() {
            edition::append(&state.log, &entries, now_ms)?;
        }
        for (key, committed) in entries {
            match committed {
                Some(committed) => state.by_key.insert(key, committed),
                None => state.by_key.remove(&key),
            };
        }
        Ok(state.pending())
    }

    /// All offsets of a group, and what must be synced before anyone is told.
    pub(crate) fn of_group(&self, group: &str) -> (Vec<(Key, Committed)>, Pending) {
        let state = self.state();
        let first = Key::first_of(group);
        let found = state
            .by_key
            .range(first..)
            .take_while(|(key, _)| key.group == group);
        let found = found
            .map(|(key, committed)| (key.clone(), committed.clone()))
            .collect();
        (found, state.pending())
    }

    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.state()
            .by_key
            .range(Key::first_of(group)..)
            .next()
            .is_some_and(|(key, _)| key.group == group)
    }

    /// The names of all groups that have offsets.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut groups: Vec<_> = self
            .state()
            .by_key
            .keys()
            .map(|key| key.group.clone())
            .collect();
        groups.dedup();
        groups
    }

    /// Writes a smaller edition if most of the log no longer counts; waits for the disk.
    pub(crate) fn compact_if_worth(&self, now_ms: i64) -> Result<(), Error> {
        let mut state = self.state();
        let bytes = state.log.log().bytes();
        if bytes < WORTH_COMPACTING || bytes < 4 * state.first_bytes {
            return Ok(());
        }
        let editions = Editions {
            disk: &self.disk,
            folder: &self.folder,
            mode: self.mode,
        };
        let log = Arc::new(editions.write(state.edition + 1, &state.by_key, now_ms)?);
        // Those who wait for the old edition go on doing so: it is still synced, if nameless.
        let old = std::mem::replace(&mut state.log, log);
        old.set_deleted(true);
        let old = state.edition;
        state.edition += 1;
        let bytes = state.log.log().bytes();
        state.first_bytes = bytes;
        editions.remove(old)
    }

    /// The log as it is now, to sync or close.
    pub(crate) fn log(&self) -> Arc<Partition> {
        self.state().log.clone()
    }
}

impl State {
    fn pending(&self) -> Pending {
        let until = self.log.log().end().offset;
        Pending {
            log: self.log.clone(),
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::SimDisk;

    fn key(group: &str, partition: i32) -> Key {
        Key {
            group: group.into(),
            topic: "t".into(),
            partition,
        }
    }

    fn at(offset: i64) -> Committed {
        Committed {
            offset,
            leader_epoch: -1,
            metadata: "m".into(),
        }
    }

    #[test]
    fn only_what_was_synced_is_there_after_a_power_loss() {
        let disk = SimDisk::default();
        let open = |disk: &SimDisk| {
            Offsets::open(
                Arc::new(disk.clone()),
                Path::new("d"),
                SyncMode::Group,
                false,
                0,
            )
            .unwrap()
        };
        let offsets = open(&disk);
        let pending = offsets
            .commit(vec![(key("g", 0), at(5)), (key("h", 0), at(6))], 0)
            .unwrap();
        assert_eq!(pending.until, 2);
        pending.log.sync().unwrap();
        let _ = offsets.forget(|key| key.group == "h", 0).unwrap();
        let again = open(&disk.after_power_loss(0));
        assert_eq!(again.of_group("g").0, [(key("g", 0), at(5))]);
        assert!(again.has_group("h"), "forgetting it was not synced");

        offsets.log().sync().unwrap();
        let again = open(&disk.after_power_loss(0));
        assert_eq!(again.groups(), ["g"]);
    }

    #[test]
    fn a_smaller_edition_says_the_same() {
        let disk = SimDisk::default();
        let offsets = Offsets::open(
            Arc::new(disk.clone()),
            Path::new("d"),
            SyncMode::Group,
            false,
            0,
        )
        .unwrap();
        let padding = "x".repeat(4000);
        for round in 0..3_000 {
            let committed = Committed {
                offset: round,
                leader_epoch: 0,
                metadata: padding.clone(),
            };
            let _ = offsets
                .commit(vec![(key("g", (round % 7) as i32), committed)], 0)
                .unwrap();
        }
        let before = offsets.of_group("g").0;
        offsets.compact_if_worth(0).unwrap();
        assert!(offsets.log().log().bytes() < 100_000);
        assert_eq!(offsets.of_group("g").0, before);
        let again = Offsets::open(
            Arc::new(disk.after_power_loss(0)),
            Path::new("d"),
            SyncMode::Group,
            false,
            0,
        );
        assert_eq!(again.unwrap().of_group("g").0, before);
    }

    #[test]
    fn a_full_disk_refuses_commits_and_forgets_none() {
        let disk = SimDisk::default();
        let open = |disk: &SimDisk| {
            let disk = Arc::new(disk.clone());
            Offsets::open(disk, Path::new("d"), SyncMode::Group, false, 0).unwrap()
        };
        let offsets = open(&disk);
        let commit = |offset: i64, metadata: &str| {
            let committed = Committed {
                metadata: metadata.to_owned(),
                ..at(offset)
            };
            let pending = offsets.commit(vec![(key("g", 0), committed)], 0)?;
            pending.log.sync().unwrap();
            Ok::<_, AppendError>(())
        };
        let padding = "x".repeat(100_000);
        for round in 0..100 {
            commit(round, &padding).unwrap();
        }
        disk.fill_up_after(Some(60));
        assert!(matches!(commit(100, "m"), Err(AppendError::Disk(_))));
        let all = |offsets: &Offsets| offsets.of_group("g").0[0].1.offset;
        assert_eq!(all(&offsets), 99);
        // A smaller edition would make room, but it does not fit itself.
        assert!(matches!(offsets.compact_if_worth(0), Err(Error::Io { .. })));
        assert_eq!(disk.list(Path::new("d/offsets")).unwrap(), ["0"]);
        disk.fill_up_after(None);
        commit(101, "m").unwrap();
        assert_eq!(all(&open(&disk.after_power_loss(0))), 101);
        offsets.compact_if_worth(0).unwrap();
        assert_eq!(disk.list(Path::new("d/offsets")).unwrap(), ["1"]);
        assert_eq!(all(&open(&disk.after_power_loss(0))), 101);
    }
}
