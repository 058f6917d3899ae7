//! Protocol §7: a broker on a disk that forgets what is not synced.
//!
//! Producers take an id, send record by record under numbers of their own, and send again when no
//! answer comes. The broker appends, syncs, and answers; a loss of power leaves any part of what is
//! not synced. A reader reads what it is shown.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
};

/// Ids that are made durable at once.
const BLOCK: u8 = 2;

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) guards: Guards,
    /// What each producer has to say.
    pub(crate) words: Vec<Vec<char>>,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    // The broker.
    log: Vec<Record>,
    synced: usize,
    /// The next producer id, and the end of its block.
    ids: (u8, u8),
    durable_ids: u8,
    // The others.
    producers: Vec<Producer>,
    read: Vec<Record>,
    strikes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    id: u8,
    number: usize,
    word: char,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Producer {
    id: Option<u8>,
    /// Words that were acknowledged.
    said: usize,
    /// The broker answers when it is synced up to here.
    waits: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    TakeId(usize),
    Send(usize),
    Sync,
    Answer(usize),
    Read,
    LoseAnswer(usize),
    /// And so many records are still there.
    LosePower(usize),
}

impl Log {
    fn take_id(&self, world: &mut World, producer: usize) -> Option<()> {
        if world.producers[producer].id.is_some() {
            return None;
        }
        let (next, end) = &mut world.ids;
        if next == end {
            *end += BLOCK;
            world.durable_ids = *end;
        }
        world.producers[producer].id = Some(*next);
        *next += 1;
        Some(())
    }

    fn send(&self, world: &mut World, producer: usize) -> Option<()> {
        let words = &self.words[producer];
        let Producer {
            id,
            said: number,
            waits,
        } = &mut world.producers[producer];
        let (id, word) = ((*id)?, *words.get(*number)?);
        if waits.is_some() {
            return None;
        }
        let of_id = |record: &Record| (record.id == id).then_some(record.number);
        let last = world.log.iter().filter_map(of_id).max();
        *waits = match last {
            Some(last) if *number <= last => match self.guards.hold(Guard::DuplicateWaits) {
                true => Some(world.log.len()),
                false => Some(0),
            },
            // In order, or refused.
            last if last.map_or(0, |last| last + 1) == *number => {
                world.log.push(Record {
                    id,
                    number: *number,
                    word,
                });
                Some(world.log.len())
            }
            _ => return None,
        };
        Some(())
    }

    fn lose_power(&self, world: &mut World, kept: usize) -> Option<()> {
        if kept < world.synced || kept > world.log.len() {
            return None;
        }
        world.log.truncate(kept);
        world.synced = kept;
        let first = match self.guards.hold(Guard::IdBlocks) {
            true => world.durable_ids,
            // Derived from the log: behind the last one that has written.
            false => world.log.iter().map(|it| it.id + 1).max().unwrap_or(0),
        };
        world.ids = (first, first);
        for producer in &mut world.producers {
            producer.waits = None;
        }
        Some(())
    }
}

/// The promises.
impl Log {
    fn keeps_what_it_acknowledged(&self, world: &World) -> bool {
        let has = |word: &char| world.log.iter().any(|record| record.word == *word);
        let mut producers = world.producers.iter().zip(&self.words);
        producers.all(|(producer, words)| words[..producer.said].iter().all(has))
    }

    fn doubles_nothing(&self, World { log, .. }: &World) -> bool {
        let is_repeat = |at: usize| log[..at].iter().any(|it| it.word == log[at].word);
        !(0..log.len()).any(is_repeat)
    }

    fn keeps_what_was_read(&self, world: &World) -> bool {
        world.log.starts_with(&world.read)
    }
}

impl Model for Log {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            log: Vec::new(),
            synced: 0,
            ids: (0, 0),
            durable_ids: 0,
            producers: vec![Producer::default(); self.words.len()],
            read: Vec::new(),
            strikes: self.strikes,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let producers = 0..self.words.len();
        for it in producers.clone() {
            actions.extend([Action::TakeId(it), Action::Send(it), Action::Answer(it)]);
        }
        actions.extend([Action::Sync, Action::Read]);
        actions.extend(producers.map(Action::LoseAnswer));
        actions.extend((0..=world.log.len()).map(Action::LosePower));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::TakeId(producer) => self.take_id(&mut world, producer)?,
            Action::Send(producer) => self.send(&mut world, producer)?,
            Action::Sync => world.synced = world.log.len(),
            Action::Answer(producer) => {
                let producer = &mut world.producers[producer];
                producer.waits.take_if(|end| *end <= world.synced)?;
                producer.said += 1;
            }
            Action::Read => {
                let end = match self.guards.hold(Guard::SyncedHighWatermark) {
                    true => world.synced,
                    false => world.log.len(),
                };
                world.read.push(*world.log[..end].get(world.read.len())?);
            }
            Action::LoseAnswer(producer) => {
                world.producers[producer].waits.take()?;
            }
            Action::LosePower(kept) => self.lose_power(&mut world, kept)?,
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::ACKNOWLEDGED, Self::keeps_what_it_acknowledged),
            Property::always(promise::DOUBLED, Self::doubles_nothing),
            Property::always(promise::READ, Self::keeps_what_was_read),
        ]
    }
}

impl Part for Log {
    fn is_done(&self, world: &World) -> bool {
        let mut producers = world.producers.iter().zip(&self.words);
        let is_said = producers.all(|(producer, words)| producer.said == words.len());
        is_said && world.read == world.log
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(action, Action::LoseAnswer(_) | Action::LosePower(_))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::TakeId(it) => write!(f, "producer {it} takes an id"),
            Action::Send(it) => write!(f, "producer {it} sends its next record, perhaps again"),
            Action::Sync => write!(f, "the broker syncs"),
            Action::Answer(it) => write!(f, "the broker acknowledges to producer {it}"),
            Action::Read => write!(f, "a reader reads a record"),
            Action::LoseAnswer(it) => write!(f, "the answer to producer {it} is lost"),
            Action::LosePower(kept) => write!(f, "power is lost, and {kept} records are left"),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |records: &[Record]| -> String { records.iter().map(|it| it.word).collect() };
        write!(
            f,
            "log [{}], {} of it synced; ",
            words(&self.log),
            self.synced
        )?;
        for (number, Producer { id, said, .. }) in self.producers.iter().enumerate() {
            if let Some(id) = id {
                write!(
                    f,
                    "producer {number} has id {id} and was heard {said} times; "
                )?;
            }
        }
        write!(f, "read [{}]", words(&self.read))
    }
}
