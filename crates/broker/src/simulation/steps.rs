//! What clients, operators and fate do.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::about::About;
use super::model::{Batch, BatchId, Checked, Place, Sender};
use super::net::Ask;
use super::plan::Step;
use super::requests as ask;
use super::world::World;
use crate::clock::now_ms;
use crate::server::Server;
use crate::{Error, housekeeping};

const DAY_MS: u64 = 25 * 3600 * 1000;
/// How far client's clocks are behind.
const JITTER_MS: i64 = 50;

impl World {
    pub(super) fn step(&mut self) -> Checked {
        let step = self.plan.next(&mut self.rng);
        self.note(|_| format!("{step:?}"));
        let wait = self.rng.random_range(0..200);
        self.wait(wait);
        match step {
            Step::Sync => self.sync(),
            Step::SyncMeanwhile => self.sync_meanwhile(),
            Step::SyncMarks => drop(self.keep(housekeeping::sync_marks)?),
            Step::Tidy => self.tidy()?,
            Step::CompactOffsets => self.compact_offsets_meanwhile()?,
            Step::Compact => {
                if self.rng.random_ratio(self.plan.interrupted_compactions, 4) {
                    let calls = self.rng.random_range(0..40);
                    self.disk.stop_after(Some(calls));
                }
                self.keep(housekeeping::compact)?;
            }
            Step::Day => self.day()?,
            Step::Audit => self.audit()?,
            Step::FillDisk => {
                let room = self.rng.random_range(0..2_000);
                self.disk.fill_up_after(Some(room));
            }
            Step::FreeDisk => self.disk.fill_up_after(None),
            Step::CrashSoon => {
                let calls = self.rng.random_range(0..60);
                self.disk.stop_after(Some(calls));
            }
            Step::Kill => return self.crash(false),
            Step::LosePower => return self.crash(true),
            Step::Stop => return self.stop(),
            Step::Rot => return self.rot(),
            Step::Tick => {
                let wait = self.rng.random_range(0..4_000);
                self.wait(wait);
                self.server().coordinator.tick();
            }
            _ => {
                if let Some(ask) = self.ask(step) {
                    self.send(ask);
                }
            }
        }
        self.settle()
    }

    pub(super) fn ask(&mut self, step: Step) -> Option<Ask> {
        match step {
            Step::Produce => self.produce(),
            Step::ProducePlain => self.produce_plain(),
            Step::RepeatAbandoned => self.repeat_abandoned(),
            Step::NewEpoch => {
                self.producer().next_epoch();
                None
            }
            Step::NewProducer => {
                let producer = self.rng.random_range(0..self.producers.len());
                Some(self.init_producer_id(producer))
            }
            Step::Fetch => self.fetch(),
            Step::ListOffsets => self.list_offsets(),
            Step::DeleteRecords => self.delete_records(),
            Step::CreateTopic => self.create_topic(),
            Step::DeleteTopic => self.delete_topic(),
            Step::Commit => self.commit(),
            Step::FetchOffsets => Some(self.fetch_offsets()),
            Step::ForgetOffsets => self.forget_offsets(),
            Step::Join => self.join(),
            Step::Heartbeat => self.heartbeat(),
            Step::Leave => self.leave(),
            _ => None,
        }
    }

    /// What a thread of the syncer does.
    pub(super) fn sync(&mut self) {
        let synced = self.server().syncer.turn();
        self.note(|_| format!("  {}", if synced { "synced" } else { "nothing to sync" }));
    }

    /// What housekeeping does, and how it takes an error. Whether there was none.
    pub(super) fn keep(
        &mut self,
        keep: impl FnOnce(&Server) -> Result<(), Error>,
    ) -> Checked<bool> {
        let failed = self.disk.failed_calls();
        let Err(error) = keep(&self.server()) else {
            // It goes on with the next partition when one fails.
            return Ok(!self.disk.may_fail(failed));
        };
        self.note(|_| format!("  {error}"));
        if matches!(error, Error::Sync { .. }) {
            self.server().syncer.fail(error);
        } else {
            self.tolerate(error, failed)?;
        }
        Ok(false)
    }

    /// Retention deletes no more than it may, and what it deleted stays deleted.
    fn tidy(&mut self) -> Checked {
        let before = self.starts();
        let done = self.keep(housekeeping::tidy)?;
        for ((place, start), (_, old_start)) in self.starts().into_iter().zip(before) {
            if start > old_start {
                self.check_retention(place, start)?;
            }
            if done && start > old_start {
                self.model.partition(place).confirm_deletion(start);
            } else {
                self.model.partition(place).begin_deletion(start);
            }
        }
        Ok(())
    }

    /// After a day without a word from it, a producer is forgotten, and so are its repetitions.
    fn day(&mut self) -> Checked {
        self.producers
            .iter_mut()
            .for_each(super::clients::Producer::forget);
        self.wait(DAY_MS);
        self.tidy()
    }

    fn producer(&mut self) -> &mut super::clients::Producer {
        let number = self.rng.random_range(0..self.producers.len());
        &mut self.producers[number]
    }

    /// A partition that clients know of.
    pub(super) fn place(&mut self) -> Option<Place> {
        let topics: Vec<_> = self
            .model
            .topics
            .iter()
            .filter_map(|topic| topic.present)
            .collect();
        let incarnation = *topics.choose(&mut self.rng)?;
        let partition = self.rng.random_range(0..self.plan.partitions);
        Some(Place {
            incarnation,
            partition,
        })
    }

    pub(super) fn name(&self, place: Place) -> &'static str {
        let mut topics = self.model.topics.iter();
        let topic = topics.find(|topic| topic.was_ever(place.incarnation));
        topic.expect("places are of topics").name
    }

    pub(super) fn is_present(&self, place: Place) -> bool {
        let mut topics = self.model.topics.iter();
        topics.any(|topic| topic.present == Some(place.incarnation))
    }

    fn new_batch(
        &mut self,
        place: Place,
        sender: impl FnOnce(BatchId, i32) -> Option<Sender>,
    ) -> BatchId {
        let id = self.model.batches.len();
        let records = self.rng.random_range(1..=3);
        let padding = self.rng.random_range(0..150);
        let timestamp = now_ms() - self.rng.random_range(0..JITTER_MS);
        let ends_with_tombstone = self.plan.compacts && self.rng.random_ratio(1, 4);
        let sender = sender(id, records);
        self.model.batches.push(Batch {
            place,
            records,
            timestamp,
            sender,
            bytes: ask::batch(id, records, padding, timestamp, sender, ends_with_tombstone),
            ends_with_tombstone: ends_with_tombstone && records > 1,
            at: None,
            is_acknowledged: false,
        });
        id
    }

    fn send_batch(&mut self, id: BatchId, is_next: bool) -> Ask {
        let batch = &self.model.batches[id];
        let place = batch.place;
        let is_fenced = batch.sender.is_some_and(|own| {
            self.model.batches.iter().any(|other| {
                let newer = |sender: Sender| sender.id == own.id && sender.epoch > own.epoch;
                other.place == place && other.is_acknowledged && other.sender.is_some_and(newer)
            })
        });
        let about = About::Produce {
            batch: id,
            is_next,
            is_fenced,
        };
        let body = ask::produce(self.name(place), place.partition, &batch.bytes);
        Ask::new(about, &body, ask::PRODUCE)
    }

    fn is_under_way(&self, id: BatchId) -> bool {
        self.net
            .is_waiting(|about| matches!(about, About::Produce { batch, .. } if *batch == id))
    }

    /// An idempotent producer sends again what nobody acknowledged, or something new.
    fn produce(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let number = self.rng.random_range(0..self.producers.len());
        let Some(identity) = self.producers[number].identity else {
            return Some(self.init_producer_id(number));
        };
        let lane = self.producers[number].lanes.entry(place).or_default();
        let mut lane = std::mem::take(lane);
        let repeated = lane.to_repeat(|batch| self.is_under_way(batch));
        let id = match repeated {
            Some(id) => Some(id),
            None if lane.is_full() => None,
            None => {
                let sender = |id, records| Some(lane.push(id, records, identity));
                Some(self.new_batch(place, sender))
            }
        };
        let ask = id.map(|id| {
            let is_next = lane.some_acknowledged && lane.is_next(id);
            self.send_batch(id, is_next)
        });
        self.producers[number].lanes.insert(place, lane);
        ask
    }

    fn produce_plain(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let id = self.new_batch(place, |_, _| None);
        Some(self.send_batch(id, false))
    }

    /// A repetition that comes late, after its producer went on under another epoch.
    fn repeat_abandoned(&mut self) -> Option<Ask> {
        let number = self.rng.random_range(0..self.producers.len());
        let abandoned = &self.producers[number].abandoned;
        let id = *abandoned.choose(&mut self.rng)?;
        let place = self.model.batches[id].place;
        self.is_present(place).then(|| self.send_batch(id, false))
    }

    fn init_producer_id(&mut self, producer: usize) -> Ask {
        let about = About::ProducerId { producer };
        Ask::new(about, &ask::init_producer_id(), ask::INIT_PRODUCER_ID)
    }

    fn fetch(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let shown = self.model.partition(place).shown();
        let offset = self.rng.random_range(0..=shown + 2);
        let max_bytes = self.rng.random_range(0..2_000);
        let body = ask::fetch(self.name(place), place.partition, offset, max_bytes);
        Some(Ask::new(About::Fetch { place, offset }, &body, ask::FETCH))
    }

    fn list_offsets(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let timestamp = match self.rng.random_range(0..3) {
            0 => -1,
            1 => -2,
            _ => now_ms() - self.rng.random_range(0..10_000),
        };
        let about = About::ListOffsets {
            place,
            timestamp,
            exactly: None,
        };
        let body = ask::list_offsets(self.name(place), place.partition, timestamp);
        Some(Ask::new(about, &body, ask::LIST_OFFSETS))
    }

    fn delete_records(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let partition = self.model.partition(place);
        let (start, shown) = (partition.start(), partition.shown());
        let offset = self.rng.random_range(start..=shown.max(start));
        self.model.partition(place).begin_deletion(offset);
        let body = ask::delete_records(self.name(place), place.partition, offset);
        Some(Ask::new(
            About::DeleteRecords { place },
            &body,
            ask::DELETE_RECORDS,
        ))
    }

    fn create_topic(&mut self) -> Option<Ask> {
        let missing: Vec<_> = (0..self.model.topics.len())
            .filter(|at| self.model.topics[*at].present.is_none())
            .collect();
        let at = *missing.choose(&mut self.rng)?;
        let incarnation = self.model.incarnations;
        self.model.incarnations += 1;
        let topic = &mut self.model.topics[at];
        topic.begin_creation(incarnation);
        let body = ask::create_topic(topic.name, &self.plan);
        Some(Ask::new(
            About::CreateTopic { incarnation },
            &body,
            ask::CREATE_TOPICS,
        ))
    }

    fn delete_topic(&mut self) -> Option<Ask> {
        let place = self.place()?;
        let incarnation = place.incarnation;
        let name = self.name(place);
        let topics = self.model.topics.iter_mut();
        for topic in topics.filter(|topic| topic.present == Some(incarnation)) {
            topic.begin_deletion();
        }
        // It may be that only its offsets are deleted.
        for ((_, place), versions) in &mut self.model.committed {
            if place.incarnation == incarnation {
                versions.send(None);
            }
        }
        let body = ask::delete_topic(name);
        Some(Ask::new(
            About::DeleteTopic { incarnation },
            &body,
            ask::DELETE_TOPICS,
        ))
    }
}
