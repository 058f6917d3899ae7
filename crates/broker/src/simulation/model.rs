//! The plain model: what clients were told, and so what must hold whatever happens.

mod compaction;
mod partition;
mod topics;
mod versions;

use std::collections::{BTreeMap, HashSet};

pub(super) use partition::PartitionModel;
pub(super) use topics::TopicModel;
pub(super) use versions::Versions;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation(pub(super) String);

pub(super) type Checked<T = ()> = Result<T, Violation>;

pub(super) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Violation(otherwise()))
    }
}

pub(super) type BatchId = usize;
/// One life of a topic; the next topic of the same name is another.
pub(super) type Incarnation = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) incarnation: Incarnation,
    pub(super) partition: i32,
}

/// A batch that a client sent, at least once.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) place: Place,
    pub(super) records: i32,
    pub(super) timestamp: i64,
    pub(super) sender: Option<Sender>,
    pub(super) bytes: Vec<u8>,
    pub(super) ends_with_tombstone: bool,
    /// Where it was seen, or said to be.
    pub(super) at: Option<i64>,
    pub(super) is_acknowledged: bool,
}

/// What an idempotent producer writes into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) batches: Vec<Batch>,
    pub(super) topics: Vec<TopicModel>,
    /// How many topics were ever begun to be made.
    pub(super) incarnations: Incarnation,
    pub(super) partitions: BTreeMap<Place, PartitionModel>,
    pub(super) producer_ids: HashSet<i64>,
    pub(super) committed: BTreeMap<(usize, Place), Versions>,
    /// The latest generation of each group that anyone was told since the last start.
    pub(super) generations: BTreeMap<usize, i32>,
}

impl Model {
    pub(super) fn partition(&mut self, place: Place) -> &mut PartitionModel {
        self.partitions.entry(place).or_default()
    }

    pub(super) fn committed(&mut self, group: usize, place: Place) -> &mut Versions {
        self.committed.entry((group, place)).or_default()
    }

    pub(super) fn acknowledged(&mut self, id: BatchId, offset: i64) -> Checked {
        self.batches[id].is_acknowledged = true;
        self.stands(id, offset)
    }

    /// A batch is at an offset: so it was told, or so it was read.
    pub(super) fn stands(&mut self, id: BatchId, offset: i64) -> Checked {
        let batch = &mut self.batches[id];
        let known = *batch.at.get_or_insert(offset);
        must(known == offset, || {
            format!("batch {id} stands at {offset} and at {known}")
        })?;
        let end = offset + i64::from(batch.records);
        self.partitions
            .entry(batch.place)
            .or_default()
            .put(offset, id, end)
    }

    /// Bytes of all batches that are, or may be, behind an offset.
    pub(super) fn bytes_behind(&self, place: Place, offset: i64) -> i64 {
        let batches = self.batches.iter().filter(|batch| batch.place == place);
        let behind = batches.filter(|batch| batch.at.is_none_or(|at| at > offset));
        behind.map(|batch| batch.bytes.len() as i64).sum()
    }

    /// The order of one partition: of each producer without holes, and what was sent once in the
    /// order in which it was sent.
    pub(super) fn check_order(&self, place: Place, compacts: bool) -> Checked {
        let Some(partition) = self.partitions.get(&place) else {
            return Ok(());
        };
        let mut last_plain = None;
        let mut last_of: BTreeMap<i64, (Sender, i32)> = BTreeMap::new();
        for (offset, id) in partition.known() {
            let batch = &self.batches[id];
            let Some(sender) = batch.sender else {
                must(last_plain < Some(id), || {
                    format!(
                        "batch {id} at {offset} stands behind {last_plain:?}, which was sent later"
                    )
                })?;
                last_plain = Some(id);
                continue;
            };
            let last = last_of.insert(sender.id, (sender, batch.records));
            let Some((last, records)) = last else {
                continue;
            };
            let follows = if last.epoch == sender.epoch {
                sender.sequence == last.sequence + records
                    || (compacts || partition.has_holes()) && sender.sequence > last.sequence
            } else {
                sender.epoch > last.epoch
            };
            must(follows, || {
                format!(
                    "batch {id} at {offset} of {sender:?} follows {last:?} of {records} records"
                )
            })?;
        }
        Ok(())
    }
}
