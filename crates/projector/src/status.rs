//! What each partition of this process is doing, for health and `status`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use compline_event::{Offset, Partition, Position, Topic};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionState {
    Claiming,
    Running {
        next_offset: Offset,
    },
    /// It must not go beyond this, for a generation is being compared.
    Held {
        at: Offset,
    },
    /// What it has read must not be applied before something else is.
    Waiting {
        reason: String,
    },
    /// A transient failure; it goes on by itself.
    Retrying {
        reason: String,
    },
    /// It does not go on until somebody has looked.
    Stopped {
        reason: String,
    },
}

/// How far the partitions of this process are behind the log, all but those that
/// stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    pub partitions: usize,
    /// Records appended and not applied.
    pub events: u64,
    /// The age of the oldest of them.
    pub oldest: Duration,
}

/// Where a partition stands, and how old the records around that place are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) next_offset: Offset,
    /// When the record there was recorded, once it has been read.
    pub(crate) next_recorded_ms: Option<i64>,
    /// When the one before it was, if this owner has applied it.
    pub(crate) last_recorded_ms: Option<i64>,
}

/// The partitions that this process owns. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    partitions: BTreeMap<(Topic, Partition), Owned>,
    behind: Option<Behind>,
}

#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) state: PartitionState,
    /// Until the first claim nobody knows.
    pub(crate) stand: Option<Stand>,
}

impl Status {
    pub fn partitions(&self) -> Vec<(Topic, Partition, PartitionState)> {
        let owned = self.owned().into_iter();
        owned
            .map(|((topic, partition), owned)| (topic, partition, owned.state))
            .collect()
    }

    /// The first partition that stands still, and why.
    pub fn stopped(&self) -> Option<String> {
        let shared = self.lock();
        let mut partitions = shared.partitions.iter();
        partitions.find_map(|((topic, partition), owned)| {
            let PartitionState::Stopped { reason } = &owned.state else {
                return None;
            };
            Some(format!("{topic}/{partition}: {reason}"))
        })
    }

    /// As it was a moment ago; `None` until every partition of ours could be measured.
    pub fn behind(&self) -> Option<Behind> {
        self.lock().behind
    }

    /// Where the running partitions stand.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.partitions()
            .into_iter()
            .filter_map(|(topic, partition, state)| match state {
                PartitionState::Running { next_offset } => Some(Position {
                    topic,
                    partition,
                    next_offset,
                }),
                _ => None,
            })
    }

    pub(crate) fn owned(&self) -> BTreeMap<(Topic, Partition), Owned> {
        self.lock().partitions.clone()
    }

    pub(crate) fn set(&self, topic: Topic, partition: Partition, state: PartitionState) {
        let mut shared = self.lock();
        let before = shared.partitions.remove(&(topic, partition));
        let stand = before.and_then(|before| before.stand);
        let owned = Owned { state, stand };
        shared.partitions.insert((topic, partition), owned);
    }

    /// `last_recorded_ms`: of the record before, when it was applied just now.
    pub(crate) fn stands(
        &self,
        topic: Topic,
        partition: Partition,
        next_offset: Offset,
        last_recorded_ms: Option<i64>,
    ) {
        if let Some(owned) = self.lock().partitions.get_mut(&(topic, partition)) {
            let same = owned.stand.filter(|stand| stand.next_offset == next_offset);
            owned.stand = Some(same.unwrap_or(Stand {
                next_offset,
                next_recorded_ms: None,
                last_recorded_ms,
            }));
        }
    }

    /// The record where the partition stands has been read.
    pub(crate) fn has_read(&self, topic: Topic, partition: Partition, recorded_ms: i64) {
        let mut shared = self.lock();
        let owned = shared.partitions.get_mut(&(topic, partition));
        if let Some(stand) = owned.and_then(|owned| owned.stand.as_mut()) {
            stand.next_recorded_ms.get_or_insert(recorded_ms);
        }
    }

    pub(crate) fn measured(&self, behind: Option<Behind>) {
        self.lock().behind = behind;
    }

    pub(crate) fn forget(&self, topic: Topic, partition: Partition) {
        self.lock().partitions.remove(&(topic, partition));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared
            .lock()
            .expect("nothing panics while it holds the states")
    }
}
