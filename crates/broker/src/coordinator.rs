//! Consumer groups for the server: the state machines behind one lock, a clock, and the offsets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Error;
use crate::clock;
use crate::config::GroupSettings;
use crate::group::{Group, Join, Joined, Sync, Synced};
use crate::offsets::{Committed, Key, Offsets, Pending};

/// How long groups' time stands still; sessions and rebalances end this much late at most.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The protocol type of those who read topics.
const CONSUMER: &str = "consumer";

#[derive(Debug)]
pub(crate) struct Coordinator {
    settings: GroupSettings,
    groups: Mutex<HashMap<String, Group>>,
    pub(crate) offsets: Arc<Offsets>,
}

/// A member id, its instance, and the generation it takes part in, as a request says them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) generation: i32,
}

impl Coordinator {
    pub(crate) fn new(settings: GroupSettings, offsets: Arc<Offsets>) -> Coordinator {
        Coordinator {
            settings,
            groups: Mutex::default(),
            offsets,
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.groups.lock().expect("no holder of the groups panics")
    }

    /// A new member's id: its client's name is in it for people, the rest makes it its own.
    pub(crate) fn fresh_id(client_id: &str, instance: Option<&str>) -> String {
        format!("{}-{}", instance.unwrap_or(client_id), Uuid::new_v4())
    }

    pub(crate) fn join(&self, group: &str, join: Join) {
        let error = if group.is_empty() {
            Some(ResponseError::InvalidGroupId)
        } else if !(self.settings.min_session_timeout..=self.settings.max_session_timeout)
            .contains(&join.session_timeout)
        {
            Some(ResponseError::InvalidSessionTimeout)
        } else {
            None
        };
        if let Some(error) = error {
            let _ = join.answer.send(Joined::refused(error, &join.member_id));
            return;
        }
        let now = clock::now();
        let mut groups = self.groups();
        if !groups.contains_key(group) && !join.member_id.is_empty() {
            let _ = join.answer.send(Joined::refused(
                ResponseError::UnknownMemberId,
                &join.member_id,
            ));
            return;
        }
        let delay = self.settings.initial_rebalance_delay;
        groups
            .entry(group.to_owned())
            .or_insert_with(|| Group::new(delay, now))
            .join(join, now);
    }

    pub(crate) fn sync(&self, group: &str, sync: Sync) {
        match self.groups().get_mut(group) {
            Some(group) => group.sync(sync, clock::now()),
            None => {
                let _ = sync
                    .answer
                    .send(Synced::refused(ResponseError::UnknownMemberId));
            }
        }
    }

    pub(crate) fn heartbeat(&self, group: &str, caller: Caller<'_>) -> Result<(), ResponseError> {
        let mut groups = self.groups();
        let group = groups
            .get_mut(group)
            .ok_or(ResponseError::UnknownMemberId)?;
        group.heartbeat(
            caller.member,
            caller.instance,
            caller.generation,
            clock::now(),
        )
    }

    pub(crate) fn leave(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let mut groups = self.groups();
        let group = groups
            .get_mut(group)
            .ok_or(ResponseError::UnknownMemberId)?;
        group.leave(member, instance, clock::now())
    }

    /// Commits offsets if the caller may. Fencing and writing are one step: a member that is
    /// fenced afterwards has committed before.
    pub(crate) fn commit(
        &self,
        group: &str,
        caller: Caller<'_>,
        entries: Vec<(Key, Committed)>,
        now_ms: i64,
    ) -> Result<Pending, ResponseError> {
        let mut groups = self.groups();
        match groups.get_mut(group) {
            Some(group) => group.may_commit(
                caller.member,
                caller.instance,
                caller.generation,
                clock::now(),
            )?,
            None if caller.generation >= 0 => return Err(ResponseError::IllegalGeneration),
            None => {}
        }
        self.offsets.commit(entries, now_ms).map_err(storage_error)
    }

    /// Deletes an empty group with its offsets.
    pub(crate) fn delete(&self, name: &str, now_ms: i64) -> Result<Pending, ResponseError> {
        let mut groups = self.groups();
        match groups.get(name) {
            Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
            None if !self.offsets.has_group(name) => return Err(ResponseError::GroupIdNotFound),
            _ => {}
        }
        groups.remove(name);
        self.offsets
            .forget(|key| key.group == name, now_ms)
            .map_err(storage_error)
    }

    /// Deletes single offsets of a group, but of no topic that a member reads; those topics are
    /// given back.
    pub(crate) fn delete_offsets(
        &self,
        name: &str,
        wanted: &BTreeMap<String, BTreeSet<i32>>,
        now_ms: i64,
    ) -> Result<(Pending, BTreeSet<String>), ResponseError> {
        let groups = self.groups();
        let members = groups.get(name).filter(|group| !group.is_empty());
        if members.is_none() && !groups.contains_key(name) && !self.offsets.has_group(name) {
            return Err(ResponseError::GroupIdNotFound);
        }
        // What others than consumers read, nobody can tell.
        if members.is_some_and(|group| group.protocol_type() != CONSUMER) {
            return Err(ResponseError::NonEmptyGroup);
        }
        let is_read = |topic: &String| members.is_some_and(|group| group.reads(topic));
        let read: BTreeSet<String> = wanted
            .keys()
            .filter(|topic| is_read(topic))
            .cloned()
            .collect();
        let gone = |key: &Key| {
            key.group == name
                && !read.contains(&key.topic)
                && wanted
                    .get(&key.topic)
                    .is_some_and(|partitions| partitions.contains(&key.partition))
        };
        let pending = self.offsets.forget(gone, now_ms).map_err(storage_error)?;
        Ok((pending, read))
    }

    /// What `look` sees of a group; `None` when there is none of that name. A group that only has
    /// offsets is seen as an empty one.
    pub(crate) fn view<T>(&self, name: &str, look: impl FnOnce(&Group) -> T) -> Option<T> {
        if let Some(group) = self.groups().get(name) {
            return Some(look(group));
        }
        let empty = || Group::new(Duration::ZERO, clock::now());
        self.offsets.has_group(name).then(|| look(&empty()))
    }

    /// The names of all groups, with members or with offsets only.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.groups().keys().cloned().collect();
        names.extend(self.offsets.groups());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Lets time pass in all groups and forgets those of which nothing is left.
    pub(crate) fn tick(&self) {
        let now = clock::now();
        self.groups().retain(|_, group| {
            group.tick(now);
            !group.is_empty()
        });
    }
}

fn storage_error(error: Error) -> ResponseError {
    tracing::error!(
        error = error.with_sources(),
        "a commit could not be written"
    );
    ResponseError::KafkaStorageError
}

/// The end that a request keeps of a question to a group.
pub(crate) fn question<T>() -> (oneshot::Sender<T>, oneshot::Receiver<T>) {
    oneshot::channel()
}
