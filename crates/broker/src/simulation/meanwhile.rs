//! What goes on while the disk syncs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rand::Rng;
use rand::seq::IndexedRandom;

use super::about::About;
use super::model::{Batch, Checked};
use super::net::Ask;
use super::plan::Step;
use super::world::World;
use crate::clock::now_ms;
use crate::file::sim::Moment;
use crate::housekeeping;
use crate::server::Server;

impl World {
    pub(super) fn sync_meanwhile(&mut self) {
        let steps = [
            Step::Produce,
            Step::ProducePlain,
            Step::Produce,
            Step::Fetch,
            Step::ListOffsets,
            Step::DeleteRecords,
            Step::DeleteTopic,
            Step::Commit,
            Step::FetchOffsets,
        ];
        let chosen = self.some_of(&steps);
        self.meanwhile(&chosen, (Moment::Sync, 0), Self::sync);
    }

    /// Nobody who commits or asks waits while the offsets' log is made smaller.
    pub(super) fn compact_offsets_meanwhile(&mut self) -> Checked {
        let steps = [
            Step::Commit,
            Step::Commit,
            Step::FetchOffsets,
            Step::ForgetOffsets,
            Step::Heartbeat,
        ];
        let skipped = self.rng.random_range(0..4);
        // Whoever makes a topic waits for a sync of this log, but not for one of the folder, of
        // which the second gives the smaller log its name.
        let (chosen, when) = match self.rng.random_ratio(1, 3) {
            true => {
                let again = vec![Step::DeleteTopic, Step::CreateTopic];
                (again, (Moment::SyncNames, skipped % 2))
            }
            false => (self.some_of(&steps), (Moment::Sync, skipped)),
        };
        let mut kept = Ok(true);
        self.meanwhile(&chosen, when, |world| {
            kept = world.keep(|server| housekeeping::compact_offsets(server, now_ms()));
        });
        kept.map(drop)
    }

    fn some_of(&mut self, steps: &[Step]) -> Vec<Step> {
        let count = self.rng.random_range(1..4);
        let chosen = steps.choose_multiple(&mut self.rng, count);
        chosen.copied().collect()
    }

    /// Has `steps` happen at a moment of `work`, which comes after a number of others.
    fn meanwhile(
        &mut self,
        steps: &[Step],
        (moment, skipped): (Moment, u32),
        work: impl FnOnce(&mut World),
    ) {
        // Together, so that a second one of the same kind does not know of the first.
        let asks: VecDeque<_> = steps
            .iter()
            .filter_map(|step| {
                let ask = self.ask(*step)?;
                Some((self.target(&ask), ask))
            })
            .collect();
        self.note(|_| {
            let about: Vec<_> = asks.iter().map(|(_, ask)| &ask.about).collect();
            format!("  meanwhile {about:?}")
        });
        let asks = Arc::new(Mutex::new(asks));
        let (server, net, disk) = (self.server(), self.net.clone(), self.disk.clone());
        let taken = asks.clone();
        let send = move || {
            let next = || {
                let may_go_on = |(target, _): &mut (Option<Target>, Ask)| {
                    !target.is_some_and(|target| target.is_full(&server))
                };
                taken.lock().unwrap().pop_front_if(may_go_on)
            };
            while let Some((_, ask)) = next() {
                net.send(&server, ask);
                net.collect(&disk);
            }
        };
        self.disk.during(moment, skipped, Box::new(send));
        work(self);
        self.disk.forget_meanwhile();
        // There was no such moment, or one that had to be waited for.
        let left = std::mem::take(&mut *asks.lock().unwrap());
        left.into_iter().for_each(|(_, ask)| self.send(ask));
    }

    fn target(&self, ask: &Ask) -> Option<Target> {
        let About::Produce { batch, .. } = ask.about else {
            return None;
        };
        let Batch { place, bytes, .. } = &self.model.batches[batch];
        Some(Target {
            topic: self.name(*place),
            partition: place.partition,
            size: bytes.len(),
        })
    }
}

/// Where a batch is to go.
#[derive(Clone, Copy)]
struct Target {
    topic: &'static str,
    partition: i32,
    size: usize,
}

impl Target {
    /// Whether the segment has to be closed first, which waits for a sync under way. A simulation
    /// has one thread, so whoever would wait comes later.
    fn is_full(self, server: &Server) -> bool {
        let partition = server.topics.partition(self.topic, self.partition);
        let topic = server.topics.find(self.topic);
        partition.zip(topic).is_some_and(|(partition, topic)| {
            let log = partition.log();
            log.is_full(self.size, &topic.log_settings, now_ms())
        })
    }
}
