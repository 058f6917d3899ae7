//! What each partition of this process is doing, for health and `status`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
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

/// The partitions that this process owns. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    partitions: Arc<Mutex<BTreeMap<(Topic, Partition), PartitionState>>>,
}

impl Status {
    pub fn partitions(&self) -> Vec<(Topic, Partition, PartitionState)> {
        self.lock()
            .iter()
            .map(|((topic, partition), state)| (*topic, *partition, state.clone()))
            .collect()
    }

    /// The first partition that stands still, and why.
    pub fn stopped(&self) -> Option<String> {
        self.lock().iter().find_map(|((topic, partition), state)| {
            let PartitionState::Stopped { reason } = state else {
                return None;
            };
            Some(format!("{topic}/{partition}: {reason}"))
        })
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

    pub(crate) fn set(&self, topic: Topic, partition: Partition, state: PartitionState) {
        self.lock().insert((topic, partition), state);
    }

    pub(crate) fn forget(&self, topic: Topic, partition: Partition) {
        self.lock().remove(&(topic, partition));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Topic, Partition), PartitionState>> {
        self.partitions
            .lock()
            .expect("nothing panics while it holds the states")
    }
}
