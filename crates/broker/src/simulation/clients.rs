//! The clients: what they remember between two requests.

use std::collections::{BTreeMap, VecDeque};

use super::model::{BatchId, Place, Sender};

/// Batches of one producer that may be under way at once: what clients keep to, and brokers
/// remember.
pub(super) const IN_FLIGHT: usize = 5;

/// An idempotent producer.
#[derive(Debug, Default)]
pub(super) struct Producer {
    /// Id and epoch.
    pub(super) identity: Option<(i64, i16)>,
    pub(super) lanes: BTreeMap<Place, Lane>,
    /// Batches of an older epoch whose fate nobody learned.
    pub(super) abandoned: Vec<BatchId>,
}

/// What a producer sends to one partition.
#[derive(Debug, Default)]
pub(super) struct Lane {
    next_sequence: i32,
    /// How many batches were made.
    made: usize,
    /// Not acknowledged, oldest first, each with its number.
    outstanding: VecDeque<(usize, BatchId)>,
    pub(super) some_acknowledged: bool,
}

impl Producer {
    pub(super) fn begin(&mut self, id: i64) {
        self.abandon();
        self.abandoned.clear();
        self.identity = Some((id, 0));
    }

    /// Goes on under the next epoch, because it cannot under this one.
    pub(super) fn next_epoch(&mut self) {
        self.abandon();
        if let Some((_, epoch)) = &mut self.identity {
            *epoch += 1;
        }
    }

    fn abandon(&mut self) {
        for lane in std::mem::take(&mut self.lanes).into_values() {
            let left = lane.outstanding.into_iter().map(|(_, batch)| batch);
            self.abandoned.extend(left);
        }
    }

    /// Everyone who knew it has forgotten it.
    pub(super) fn forget(&mut self) {
        *self = Producer::default();
    }
}

impl Lane {
    /// A batch to send: the oldest one that is not under way, behind which none may be, or
    /// `None` when a new one may be made.
    pub(super) fn to_repeat(&self, is_under_way: impl Fn(BatchId) -> bool) -> Option<BatchId> {
        let mut outstanding = self.outstanding.iter().map(|(_, batch)| *batch);
        outstanding.find(|batch| !is_under_way(*batch))
    }

    pub(super) fn is_full(&self) -> bool {
        let oldest = self.outstanding.front();
        oldest.is_some_and(|(number, _)| self.made - number >= IN_FLIGHT)
    }

    pub(super) fn is_next(&self, batch: BatchId) -> bool {
        self.outstanding
            .front()
            .is_some_and(|(_, first)| *first == batch)
    }

    /// A new batch, with what its producer writes into it.
    pub(super) fn push(&mut self, batch: BatchId, records: i32, (id, epoch): (i64, i16)) -> Sender {
        let sequence = self.next_sequence;
        self.outstanding.push_back((self.made, batch));
        self.made += 1;
        self.next_sequence += records;
        Sender {
            id,
            epoch,
            sequence,
        }
    }

    pub(super) fn acknowledged(&mut self, batch: BatchId) {
        self.some_acknowledged = true;
        self.outstanding.retain(|(_, known)| *known != batch);
    }
}

/// Somebody who takes part in a group, or wants to.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) standing: Standing,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Standing {
    #[default]
    Outside,
    /// Waits for an answer.
    Asking,
    /// Has to ask for its part; the leader knows all members.
    Joined {
        generation: i32,
        members: Vec<String>,
    },
    In {
        generation: i32,
    },
}

impl Member {
    pub(super) fn generation(&self) -> Option<i32> {
        match &self.standing {
            Standing::In { generation } => Some(*generation),
            _ => None,
        }
    }
}
