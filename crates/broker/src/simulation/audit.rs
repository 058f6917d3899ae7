//! Everything read and compared.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use kafka_protocol::messages::FetchResponse;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::about::About;
use super::model::{Checked, Place, Violation, must};
use super::net::{Ask, read};
use super::requests as ask;
use super::world::{GROUPS, LONERS, World};
use crate::Error;
use crate::batch::Header;
use crate::clock::now_ms;
use crate::file::sim::Faults;
use crate::partition::Partition;

impl World {
    /// Reads all there is, from beginning to end, and all committed offsets.
    pub(super) fn audit(&mut self) -> Checked {
        if self.disk.has_stopped() {
            return Ok(());
        }
        self.disk.set_faults(Faults::default());
        for place in self.places() {
            self.audit_partition(place)
                .map_err(|Violation(what)| Violation(format!("{what}, in {place:?}")))?;
        }
        // Offsets are only told when they are synced.
        while self.server().syncer.turn() {}
        if !self.disk.has_stopped() {
            for group in 0..GROUPS + LONERS {
                let ask = self.fetch_offsets_of(group);
                let about = ask.about.clone();
                let Some(bytes) = self.call(ask)? else {
                    return Ok(());
                };
                self.answer(about, bytes)?;
            }
        }
        self.disk.set_faults(self.plan.faults);
        Ok(())
    }

    /// Asks something that is answered at once; `None` when the broker is gone.
    fn call(&mut self, ask: Ask) -> Checked<Option<Bytes>> {
        let about = ask.about.clone();
        self.net.send(&self.server(), ask);
        self.net.collect(&self.disk);
        let mut found = None;
        for (answered, bytes) in self.net.take_answered() {
            if answered == about {
                found = Some(bytes);
            } else {
                self.answer(answered, bytes)?;
            }
        }
        let is_going = self.server().syncer.failure().borrow().is_some();
        must(
            found.is_some() || is_going || self.disk.has_stopped(),
            || format!("{about:?} is not answered"),
        )?;
        Ok(found)
    }

    pub(super) fn places(&self) -> Vec<Place> {
        let present = self.model.topics.iter().filter_map(|topic| topic.present);
        let partitions = 0..self.plan.partitions;
        present
            .flat_map(|incarnation| {
                partitions.clone().map(move |partition| Place {
                    incarnation,
                    partition,
                })
            })
            .collect()
    }

    fn audit_partition(&mut self, place: Place) -> Checked {
        let name = self.name(place);
        let start = self.partition(place).log().start_offset();
        let mut offset = start;
        let mut seen = BTreeSet::new();
        loop {
            let body = ask::fetch(name, place.partition, offset, 1 << 20);
            let about = About::Fetch { place, offset };
            let Some(mut bytes) = self.call(Ask::new(about, &body, ask::FETCH))? else {
                return Ok(());
            };
            let answer: FetchResponse = read(&mut bytes, ask::FETCH);
            let mut fetched = self.fetched(place, offset, answer)?;
            seen.extend(fetched.seen.drain(..));
            must(fetched.error.is_none(), || {
                format!("offset {offset} cannot be read: {:?}", fetched.error)
            })?;
            if offset == fetched.high_watermark {
                break;
            }
            must(fetched.next > offset, || {
                format!("nothing is read at {offset}, below the high watermark")
            })?;
            offset = fetched.next;
        }
        self.model.check_order(place, self.plan.compacts)?;
        if self.plan.compacts {
            return self.model.check_compaction(place, start, &seen);
        }
        self.audit_times(place, start, offset)
    }

    /// A time is found where its first record is.
    fn audit_times(&mut self, place: Place, start: i64, end: i64) -> Checked {
        let timestamp = now_ms() - self.rng.random_range(0..5_000);
        let mut known: Vec<_> = self.model.partition(place).known().collect();
        known.retain(|(offset, id)| {
            let batch = &self.model.batches[*id];
            let next = offset + i64::from(batch.records);
            next > start && *offset < end && batch.timestamp >= timestamp
        });
        let exactly = known.first().map_or(-1, |(offset, _)| (*offset).max(start));
        let about = About::ListOffsets {
            place,
            timestamp,
            exactly: Some(exactly),
        };
        let body = ask::list_offsets(self.name(place), place.partition, timestamp);
        let ask = Ask::new(about.clone(), &body, ask::LIST_OFFSETS);
        match self.call(ask)? {
            Some(bytes) => self.answer(about, bytes),
            None => Ok(()),
        }
    }

    fn partition(&self, place: Place) -> std::sync::Arc<Partition> {
        let found = self
            .server()
            .topics
            .partition(self.name(place), place.partition);
        found.expect("a topic that is present has its partitions")
    }

    /// Where each partition begins, of topics whose deletion was begun as well.
    pub(super) fn starts(&self) -> Vec<(Place, i64)> {
        let server = self.server();
        let mut starts = Vec::new();
        for topic in &self.model.topics {
            let Some(found) = server.topics.find(topic.name) else {
                continue;
            };
            let Some(incarnation) = topic.of_id(found.id) else {
                continue;
            };
            for (partition, log) in (0..).zip(&found.partitions) {
                let place = Place {
                    incarnation,
                    partition,
                };
                starts.push((place, log.log().start_offset()));
            }
        }
        starts
    }

    /// What retention took away was too old, or too much, or deleted before.
    pub(super) fn check_retention(&mut self, place: Place, start: i64) -> Checked {
        let (retention_ms, retention_bytes) = (self.plan.retention_ms, self.plan.retention_bytes);
        let bytes = self.partition(place).log().bytes() as i64;
        let deleted = self.model.partition(place).may_start();
        let before: Vec<_> = self.model.partition(place).known_before(start).collect();
        for (offset, id) in before {
            let age = now_ms() - self.model.batches[id].timestamp;
            // What was too much may go first, and then what is behind it and too old.
            let behind = self.model.bytes_behind(place, offset).max(bytes);
            let fine = offset < deleted
                || retention_ms >= 0 && age > retention_ms
                || retention_bytes >= 0 && behind >= retention_bytes;
            must(fine, || {
                format!("retention took batch {id}, {age} ms old, and left {bytes} bytes")
            })?;
        }
        Ok(())
    }

    /// A byte of what was synced changes on disk: the next start says so, and where.
    pub(super) fn rot(&mut self) -> Checked {
        self.disk.set_faults(Faults::default());
        self.disk.fill_up_after(None);
        self.disk.stop_after(None);
        let places = self.places();
        let Some(place) = places.choose(&mut self.rng).copied() else {
            return Ok(());
        };
        // What is asked comes before the last sync, or it would be no part of it.
        self.settle()?;
        if !self.places().contains(&place) {
            return Ok(());
        }
        while self.server().syncer.turn() {}
        if self.server().syncer.failure().borrow().is_some() {
            return self.crash(false);
        }
        // With the mark behind, only sound batches that follow tell damage from a torn write.
        let is_marked: bool = self.rng.random();
        let server = self.server();
        if is_marked && crate::housekeeping::sync_marks(&server).is_err() || self.disk.has_stopped()
        {
            return self.crash(false);
        }
        let (folder, end) = {
            let partition = self.partition(place);
            let end = partition.log().end();
            (partition.folder().to_owned(), end)
        };
        drop(server);
        self.end_process();
        self.disk = self.disk.lose_power();
        let segment = folder.join(format!("{:020}.log", end.segment));
        let bytes = self.disk.content(&segment);
        let batches = batches(&bytes);
        let choice = if is_marked {
            &batches[..]
        } else {
            &batches[..batches.len().saturating_sub(1)]
        };
        let Some((at, size)) = choice.choose(&mut self.rng).copied() else {
            return self.start();
        };
        // The leader's epoch is the broker's to write, and in no sum.
        let byte = at
            + *[self.rng.random_range(0..8), self.rng.random_range(16..size)]
                .choose(&mut self.rng)
                .unwrap_or(&0);
        let bit = 1 << self.rng.random_range(0..8);
        self.note(|_| format!("  byte {byte} of {segment:?} rots, in the batch at {at}"));
        self.disk.damage(&segment, |bytes| bytes[byte] ^= bit);
        self.disk.set_faults(Faults::default());
        self.refuses(segment.clone(), at)?;
        self.disk = self.disk.kill();
        self.disk.damage(&segment, |bytes| bytes[byte] ^= bit);
        self.disk.set_faults(self.plan.faults);
        self.start()
    }

    fn refuses(&self, segment: PathBuf, at: usize) -> Checked {
        match self.open() {
            Err(Error::Corrupt { path, position, .. })
                if path == segment && position == at as u64 =>
            {
                Ok(())
            }
            opened => Err(Violation(format!(
                "damage to the batch at byte {at} of {segment:?} leads to {:?}",
                opened.map(|_| "a start")
            ))),
        }
    }
}

/// Where each batch of a segment begins, and its size.
fn batches(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) =
        Header::parse(&bytes[at..]).filter(|header| at + header.size <= bytes.len())
    {
        found.push((at, header.size));
        at += header.size;
    }
    found
}
