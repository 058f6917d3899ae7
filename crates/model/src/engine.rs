//! Protocol §2: an engine decides, the outbox keeps it, relays tell it, a reader takes it.
//!
//! Two tasks decide over one input partition each; all outputs go to one output partition, under
//! one run of numbers. Of two relays one leads; the other may be one that was deposed and still
//! has appends under way. The reader is the projector of the model beside. What it takes follows
//! from the log alone, so it takes each record as soon as it is there.
//!
//! An output goes by the input that it follows from.

mod relay;
mod words;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
    reader::{Output, Reader},
};

/// Appends of one relay under way at once.
const UNDER_WAY: usize = 2;

#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) guards: Guards,
    /// The inputs of each partition, by name.
    pub(crate) inputs: [Vec<char>; 2],
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    // Postgres.
    checkpoints: [usize; 2],
    last_number: [u8; 2],
    outbox: Vec<Output>,
    /// Whose epoch stands at the row of each producer's relay.
    relay_epoch: [usize; 2],
    /// Who holds its advisory lock.
    leader: [Option<usize>; 2],
    // The processes.
    deciding: [Option<Transaction>; 2],
    relays: [Relay; 2],
    // The log.
    log: Vec<Output>,
    reader: Reader,
    /// What was decided, in the order of the commits; no table holds it.
    decided: Vec<char>,
    strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Transaction {
    about: char,
    number: Option<u8>,
    /// Never before the commit, while the guards hold.
    is_told: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Relay {
    /// In the order of their numbers; those in front that the log has by now are `landed`.
    under_way: Vec<Output>,
    landed: usize,
    acknowledged: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Decide(usize),
    Draw(usize),
    /// Around the outbox.
    Tell(usize),
    Commit(usize),
    RollBack(usize),
    Lead(usize),
    Enqueue(usize),
    Land(usize),
    Acknowledge(usize),
    Forget(usize),
    Depose(usize),
    TimeOut(usize),
    Crash(usize),
}

impl Engine {
    /// One for both tasks; without the guard, each its own.
    fn producer_of(&self, task: usize) -> usize {
        match self.guards.hold(Guard::OneProducer) {
            true => 0,
            false => task,
        }
    }

    fn draw(&self, world: &mut World, task: usize) -> Option<()> {
        let producer = self.producer_of(task);
        let has_drawn =
            |it: &usize| matches!(&world.deciding[*it], Some(it) if it.number.is_some());
        let mut drawn = (0..2).filter(has_drawn).map(|it| self.producer_of(it));
        let is_locked = drawn.any(|it| it == producer);
        let transaction = world.deciding[task].as_mut()?;
        if transaction.number.is_some() {
            return None;
        }
        let last_number = &mut world.last_number[producer];
        transaction.number = Some(*last_number + 1);
        if self.guards.hold(Guard::HoleFreeNumbers) {
            return (!is_locked).then_some(());
        }
        // A sequence: it waits for nobody and forgets nothing.
        *last_number += 1;
        Some(())
    }

    fn commit(&self, world: &mut World, task: usize) -> Option<()> {
        let Transaction {
            about,
            number,
            is_told,
        } = world.deciding[task].take()?;
        let number = number?;
        let producer = self.producer_of(task);
        let last_number = &mut world.last_number[producer];
        *last_number = number.max(*last_number);
        world.checkpoints[task] += 1;
        world.decided.push(about);
        if self.guards.hold(Guard::Outbox) {
            let output = Output {
                producer,
                number,
                about,
            };
            world.outbox.push(output);
            world
                .outbox
                .sort_by_key(|output| (output.producer, output.number));
        } else if !is_told {
            return None;
        }
        Some(())
    }
}

impl World {
    fn append(&mut self, output: Output) {
        self.log.push(output);
        self.reader.take(output);
    }
}

/// The promises.
impl Engine {
    fn loses_nothing(&self, World { log, reader, .. }: &World) -> bool {
        log.iter().all(|output| reader.has(output.about))
    }

    fn doubles_nothing(&self, world: &World) -> bool {
        !world.reader.has_twice()
    }

    fn has_no_hole(&self, world: &World) -> bool {
        !world.reader.has_stopped
    }

    fn keeps_order(&self, world: &World) -> bool {
        let at = |about| world.decided.iter().position(|it| it == about);
        world.reader.applied.iter().filter_map(at).is_sorted()
    }
}

impl Model for Engine {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            checkpoints: [0; 2],
            last_number: [0; 2],
            outbox: Vec::new(),
            relay_epoch: [0; 2],
            leader: [None; 2],
            deciding: [None, None],
            relays: [Relay::default(), Relay::default()],
            log: Vec::new(),
            reader: Reader::default(),
            decided: Vec::new(),
            strikes: self.strikes,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for it in 0..2 {
            match world.deciding[it] {
                None => actions.push(Action::Decide(it)),
                Some(_) => actions.extend([Action::Draw(it), Action::Tell(it), Action::Commit(it)]),
            }
            actions.extend([Action::Lead(it), Action::Enqueue(it), Action::Forget(it)]);
            if !world.relays[it].under_way.is_empty() {
                actions.extend([Action::Land(it), Action::Acknowledge(it)]);
            }
        }
        for it in (0..2).filter(|_| world.strikes > 0) {
            actions.extend([
                Action::RollBack(it),
                Action::Depose(it),
                Action::TimeOut(it),
                Action::Crash(it),
            ]);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::Decide(task) => {
                let about = *self.inputs[task].get(world.checkpoints[task])?;
                if world.deciding[task].is_some() {
                    return None;
                }
                world.deciding[task] = Some(Transaction {
                    about,
                    number: None,
                    is_told: false,
                });
            }
            Action::Draw(task) => self.draw(&mut world, task)?,
            Action::Tell(task) => {
                let transaction = world.deciding[task].as_mut()?;
                let (number, about) = (transaction.number?, transaction.about);
                if self.guards.hold(Guard::Outbox) || transaction.is_told {
                    return None;
                }
                transaction.is_told = true;
                let producer = self.producer_of(task);
                world.append(Output {
                    producer,
                    number,
                    about,
                });
            }
            Action::Commit(task) => self.commit(&mut world, task)?,
            Action::RollBack(task) => {
                world.deciding[task].take()?;
            }
            _ => self.relay(&mut world, &action)?,
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::LOST, Self::loses_nothing),
            Property::always(promise::DOUBLED, Self::doubles_nothing),
            Property::always(promise::HOLE, Self::has_no_hole),
            Property::always(promise::ORDER, Self::keeps_order),
        ]
    }
}

impl Part for Engine {
    fn is_done(&self, world: &World) -> bool {
        let inputs: usize = self.inputs.iter().map(Vec::len).sum();
        world.outbox.is_empty() && world.reader.applied.len() == inputs
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(
            action,
            Action::RollBack(_) | Action::Depose(_) | Action::TimeOut(_) | Action::Crash(_)
        )
    }
}
