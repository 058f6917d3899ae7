//! Protocol §4: a key is parked, and tried again beside live traffic.
//!
//! All records are of one key and of one producer, and the second one is poison to the build that
//! runs first. The projector takes the fence and reads the parked keys in one step, and writes in another; so does
//! the redrive with its lock and the key's list. A record that joins a key which is not parked any
//! more is refused by the foreign key, and its transaction tried again.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
};

/// The record that cannot be applied.
const POISON: u8 = 1;

#[derive(Clone, Debug)]
pub(crate) struct Redrive {
    pub(crate) guards: Guards,
    /// Records of the key.
    pub(crate) records: u8,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    next: u8,
    mark: Option<u8>,
    /// At a hole in the producer's numbers.
    has_stopped: bool,
    /// The records that wait, when the key is parked.
    parked: Option<Vec<u8>>,
    applied: Vec<u8>,
    /// Whether the build that runs can apply everything.
    is_mended: bool,
    /// A batch of one record, and whether it found its key parked.
    batch: Option<bool>,
    /// A redrive, and the list that it read.
    redrive: Option<Vec<u8>>,
    strikes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Begin,
    Commit,
    RollBack,
    Deploy,
    BeginRedrive,
    CommitRedrive,
    RollBackRedrive,
}

impl Redrive {
    /// Both take the checkpoint's row, the redrive without changing it.
    fn excludes(&self) -> bool {
        self.guards.hold(Guard::RedriveLock)
    }

    fn commit(&self, world: &mut World) -> Option<()> {
        let found_parked = world.batch.take()?;
        let record = world.next;
        // Its number, too: none is told twice here.
        if world.mark.is_some_and(|mark| record > mark + 1) {
            world.has_stopped = true;
            return Some(());
        }
        let is_poison = record == POISON && !world.is_mended;
        let is_applied = !found_parked && !is_poison;
        match (found_parked, &mut world.parked) {
            (true, Some(list)) => list.push(record),
            // The foreign key refuses it.
            (true, None) => return Some(()),
            (false, parked) if is_poison => *parked = Some(vec![record]),
            (false, _) => world.applied.push(record),
        }
        if is_applied || self.guards.hold(Guard::MarkOfParked) {
            world.mark = Some(record);
        }
        world.next += 1;
        Some(())
    }

    /// With today's code; and whatever stands under the key goes with it.
    fn commit_redrive(&self, world: &mut World) -> Option<()> {
        let list = world.redrive.take()?;
        if self.guards.hold(Guard::RedrivePassesMark) {
            world.applied.extend(list);
        }
        world.parked = None;
        Some(())
    }
}

/// The promises.
impl Redrive {
    fn loses_nothing(&self, world: &World) -> bool {
        let waits = |record: &u8| world.parked.iter().flatten().any(|it| it == record);
        (0..world.next).all(|record| world.applied.contains(&record) || waits(&record))
    }

    fn has_no_hole(&self, world: &World) -> bool {
        !world.has_stopped
    }

    fn keeps_order(&self, world: &World) -> bool {
        world
            .applied
            .iter()
            .zip(0..)
            .all(|(record, expected)| *record == expected)
    }
}

impl Model for Redrive {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            next: 0,
            mark: None,
            has_stopped: false,
            parked: None,
            applied: Vec::new(),
            is_mended: false,
            batch: None,
            redrive: None,
            strikes: self.strikes,
        }]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Begin,
            Action::Commit,
            Action::Deploy,
            Action::BeginRedrive,
            Action::CommitRedrive,
            Action::RollBack,
            Action::RollBackRedrive,
        ]);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::Begin => {
                let waits = world.redrive.is_some() && self.excludes();
                let is_over = world.has_stopped || world.next == self.records;
                if world.batch.is_some() || waits || is_over {
                    return None;
                }
                world.batch = Some(world.parked.is_some());
            }
            Action::Commit => self.commit(&mut world)?,
            Action::RollBack => {
                world.batch.take()?;
            }
            Action::Deploy => {
                if std::mem::replace(&mut world.is_mended, true) {
                    return None;
                }
            }
            Action::BeginRedrive => {
                let waits = world.batch.is_some() && self.excludes();
                if world.redrive.is_some() || waits || !world.is_mended {
                    return None;
                }
                world.redrive = Some(world.parked.clone()?);
            }
            Action::CommitRedrive => self.commit_redrive(&mut world)?,
            Action::RollBackRedrive => {
                world.redrive.take()?;
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(promise::LOST, Self::loses_nothing),
            Property::always(promise::HOLE, Self::has_no_hole),
            Property::always(promise::KEY_ORDER, Self::keeps_order),
        ]
    }
}

impl Part for Redrive {
    fn is_done(&self, world: &World) -> bool {
        world.applied.len() == usize::from(self.records) && world.parked.is_none()
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(action, Action::RollBack | Action::RollBackRedrive)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Begin => "the projector takes the fence and reads which keys are parked",
            Action::Commit => {
                "the projector applies its record, parks it, or joins it, and commits"
            }
            Action::RollBack => "the projector's transaction is rolled back",
            Action::Deploy => "a build is deployed that can apply everything",
            Action::BeginRedrive => "a redrive begins and reads the key's list",
            Action::CommitRedrive => "the redrive applies it, removes the key, and commits",
            Action::RollBackRedrive => "the redrive is rolled back",
        })
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "next {}, applied {:?}", self.next, self.applied)?;
        match &self.parked {
            Some(list) => write!(f, ", parked {list:?}"),
            None => Ok(()),
        }
    }
}
