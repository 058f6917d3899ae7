//! Committed offsets: a map, and the internal log that it is read from.
//!
//! The log is a partition like any other, so a commit is acknowledged by the same sync as a
//! record. It is never read while the broker runs. Each folder below `offsets/` is one edition of
//! it; a smaller edition is written aside, with what still counts, and then takes its place, which
//! nobody waits for: see [`compaction`].

mod compaction;
mod edition;
mod entry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use compaction::Successor;
use edition::Editions;
pub(crate) use edition::fold;
pub(crate) use entry::{Committed, Key};

use crate::file::Disk;
use crate::guard::{self, Guard};
use crate::partition::Partition;
use crate::{Error, SyncMode};

#[derive(Debug)]
pub(crate) struct Offsets {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    mode: SyncMode,
    /// Held over no call that waits for the disk: heartbeats wait for it.
    state: Mutex<State>,
    /// Held over a whole compaction.
    compacting: Mutex<()>,
}

#[derive(Debug)]
struct State {
    edition: u64,
    log: Arc<Partition>,
    by_key: BTreeMap<Key, Committed>,
    /// Bytes of the edition when it was new.
    first_bytes: u64,
    /// The edition that is to take the place of this one.
    successor: Option<Successor>,
}

/// A change that is made, or a removal.
type Entry = (Key, Option<Committed>);

/// What must be synced before a change, or a look at the map, may be answered.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pending {
    /// For the syncer.
    pub(crate) log: Arc<Partition>,
    until: i64,
    /// It may be the one that the next start finds. Whoever compacts has it synced.
    successor: Option<(Arc<Partition>, i64)>,
}

impl Pending {
    pub(crate) async fn synced(&self) {
        // An edition that was replaced, or given up, is waited for no more: the other one holds
        // all of it.
        let _ = self.log.synced(self.until).await;
        if let Some((log, until)) = &self.successor {
            let _ = log.synced(*until).await;
        }
    }

    /// Syncs it here and now; waits for the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let successor = self.successor.iter().map(|(log, _)| log);
        let successor = successor.filter(|_| guard::holds(Guard::ClearedInBoth));
        for log in [&self.log].into_iter().chain(successor) {
            match log.sync() {
                // As above.
                Err(_) if log.is_deleted() => {}
                synced => drop(synced?),
            }
        }
        Ok(())
    }
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
                successor: None,
            }),
            compacting: Mutex::new(()),
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
    ) -> Result<Pending, Error> {
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
    ) -> Result<Pending, Error> {
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
        self.forget(|key| key.topic == topic, now_ms)?.sync()
    }

    fn change(&self, entries: Vec<Entry>, now_ms: i64) -> Result<Pending, Error> {
        let mut state = self.state();
        if !entries.is_empty() {
            edition::append(&state.log, &entries, now_ms)?;
            compaction::repeat(&mut state.successor, &entries, now_ms)?;
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

    /// The log as it is now, to sync or close.
    pub(crate) fn log(&self) -> Arc<Partition> {
        self.state().log.clone()
    }
}

impl State {
    fn pending(&self) -> Pending {
        let successor = self.successor.as_ref().and_then(Successor::log);
        Pending {
            log: self.log.clone(),
            until: self.log.log().end().offset,
            successor: successor.map(|log| (log.clone(), log.log().end().offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::file::sim::{Moment, SimDisk};

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

    /// Commits at each sync of a file, on a thread of its own: who waited would be noticed.
    fn commit_at_each_sync(
        disk: &SimDisk,
        offsets: &Arc<Offsets>,
        next: i64,
        done: mpsc::Sender<(i64, Pending)>,
    ) {
        let (on, committing) = (disk.clone(), offsets.clone());
        let commit = move || {
            let thread = std::thread::spawn({
                let offsets = committing.clone();
                move || offsets.commit(vec![(key("g", 0), at(next))], 0).unwrap()
            });
            let until = Instant::now() + Duration::from_secs(5);
            while !thread.is_finished() {
                assert!(Instant::now() < until, "a commit waits for the disk");
                std::thread::yield_now();
            }
            done.send((next, thread.join().unwrap())).unwrap();
            commit_at_each_sync(&on, &committing, next + 1, done);
        };
        disk.during(Moment::Sync, 0, Box::new(commit));
    }

    #[tokio::test]
    async fn nobody_waits_while_a_smaller_edition_is_made_and_no_commit_is_lost() {
        let disk = SimDisk::default();
        let open = |disk: &SimDisk| {
            let disk = Arc::new(disk.clone());
            Offsets::open(disk, Path::new("d"), SyncMode::Group, false, 0).unwrap()
        };
        let offsets = Arc::new(open(&disk));
        for round in 0..100 {
            let _ = offsets.commit(vec![(key("g", 0), at(round))], 0).unwrap();
        }
        offsets.log().sync().unwrap();
        let (done, committed) = mpsc::channel();
        commit_at_each_sync(&disk, &offsets, 100, done);
        let new = offsets.compact_if_worth(0).unwrap().unwrap();
        disk.forget_meanwhile();
        assert_eq!(disk.list(Path::new("d/offsets")).unwrap(), ["1"]);

        let found = open(&disk.after_power_loss(0)).of_group("g").0[0].1.offset;
        let mut last = 0;
        for (offset, pending) in committed.try_iter() {
            // Answered only when the edition that the next start finds has it.
            let wait = Duration::from_millis(50);
            let answered = tokio::time::timeout(wait, pending.synced()).await.is_ok();
            assert_eq!(answered, offset <= found, "{offset}, {found} is found");
            last = offset;
        }
        assert!(found >= 100 && last > found, "{last}, {found}");
        new.sync().unwrap();
        let again = open(&disk.after_power_loss(0));
        assert_eq!(again.of_group("g").0, [(key("g", 0), at(last))]);
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
            Ok::<_, Error>(())
        };
        let padding = "x".repeat(100_000);
        for round in 0..100 {
            commit(round, &padding).unwrap();
        }
        disk.fill_up_after(Some(60));
        assert!(matches!(commit(100, "m"), Err(Error::Io { .. })));
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
