//! Protocol §5: a second generation is compared with the live one and takes its place.
//!
//! The log stands. Both generations are projected; how many records each has applied is all that
//! their rows say. The candidate is right, or loses a record. A reader remembers how far what it
//! read was.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
};

/// The record that a wrong candidate loses.
const LOST: u8 = 1;

#[derive(Clone, Debug)]
pub(crate) struct Promotion {
    pub(crate) guards: Guards,
    pub(crate) records: u8,
    /// How often fate may strike.
    pub(crate) strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    is_right: bool,
    /// How far the old generation and the candidate are.
    next: [u8; 2],
    /// Which of them readers read.
    pointer: usize,
    comparison: Comparison,
    /// A promotion, or the way back: it has found that the other generation may take over.
    switch: Switch,
    /// How far what a reader has read last was.
    read: u8,
    strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Comparison {
    None,
    /// The live rows at a position, which the candidate must come to.
    Waits {
        at: u8,
        live: u8,
    },
    Equal {
        at: u8,
    },
    Different {
        at: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Switch {
    None,
    Begun,
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Project(usize),
    TakeSnapshot,
    Compare,
    BeginSwitch,
    FindReady,
    Switch,
    Read,
    /// Whoever switches is gone, and what it held is free.
    GiveUp,
    /// Operators want the old generation back.
    GoBack,
}

impl World {
    fn rows(&self, generation: usize) -> u8 {
        let next = self.next[generation];
        let is_wrong = generation == 1 && !self.is_right && next > LOST;
        next - u8::from(is_wrong)
    }

    fn other(&self) -> usize {
        1 - self.pointer
    }
}

impl Promotion {
    fn project(&self, world: &mut World, generation: usize) -> Option<()> {
        let is_held = self.guards.hold(Guard::HeldCheckpoints)
            && world.switch != Switch::None
            && generation == world.pointer;
        let stops = matches!(world.comparison, Comparison::Waits { at, .. } if at == world.next[1]);
        let is_stopped = generation == 1 && stops && self.guards.hold(Guard::StopAtV);
        let is_left = generation != world.pointer && generation == 0;
        if is_held || is_stopped || is_left && !self.guards.hold(Guard::OldGoesOn) {
            return None;
        }
        if world.next[generation] == self.records {
            return None;
        }
        world.next[generation] += 1;
        Some(())
    }

    fn take_snapshot(&self, world: &mut World) -> Option<()> {
        let at = world.next[0];
        let is_behind = world.next[1] <= at || !self.guards.hold(Guard::CandidateBehind);
        let is_new = matches!(world.comparison, Comparison::None);
        if world.pointer == 1 || !is_new || !is_behind {
            return None;
        }
        world.comparison = Comparison::Waits {
            at,
            live: world.rows(0),
        };
        Some(())
    }

    fn compare(&self, world: &mut World) -> Option<()> {
        let Comparison::Waits { at, live } = world.comparison else {
            return None;
        };
        let is_there = match self.guards.hold(Guard::StopAtV) {
            true => world.next[1] == at,
            false => world.next[1] >= at,
        };
        world.comparison = match world.rows(1) == live {
            _ if !is_there => return None,
            true => Comparison::Equal { at },
            false => Comparison::Different { at },
        };
        Some(())
    }
}

impl Model for Promotion {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let world = |is_right| World {
            is_right,
            next: [0; 2],
            pointer: 0,
            comparison: Comparison::None,
            switch: Switch::None,
            read: 0,
            strikes: self.strikes,
        };
        vec![world(true), world(false)]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Project(0),
            Action::Project(1),
            Action::TakeSnapshot,
            Action::Compare,
            Action::BeginSwitch,
            Action::FindReady,
            Action::Switch,
            Action::Read,
            Action::GiveUp,
            Action::GoBack,
        ]);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        if self.is_fate(&action) {
            world.strikes = world.strikes.checked_sub(1)?;
        }
        match action {
            Action::Project(generation) => self.project(&mut world, generation)?,
            Action::TakeSnapshot => self.take_snapshot(&mut world)?,
            Action::Compare => self.compare(&mut world)?,
            Action::BeginSwitch => {
                let is_equal = matches!(world.comparison, Comparison::Equal { .. });
                if world.pointer == 1 || !is_equal || world.switch != Switch::None {
                    return None;
                }
                world.switch = Switch::Begun;
            }
            Action::FindReady => {
                let is_there = world.next[world.other()] >= world.next[world.pointer];
                if world.switch != Switch::Begun || !is_there {
                    return None;
                }
                world.switch = Switch::Ready;
            }
            Action::Switch => {
                if world.switch != Switch::Ready {
                    return None;
                }
                world.pointer = world.other();
                world.switch = Switch::None;
            }
            Action::Read => world.read = world.next[world.pointer],
            Action::GiveUp => world.switch = Switch::None,
            Action::GoBack => {
                if world.pointer == 0 || world.switch != Switch::None {
                    return None;
                }
                world.switch = Switch::Begun;
            }
        }
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what differs is not taken for equal", |_, world: &World| {
                let differs = |at| !world.is_right && at > LOST;
                !matches!(world.comparison, Comparison::Equal { at } if differs(at))
            }),
            Property::always("what is equal is not taken for different", |_, world| {
                let World {
                    is_right,
                    comparison,
                    ..
                } = world;
                !(*is_right && matches!(comparison, Comparison::Different { .. }))
            }),
            Property::always("no reader goes back", |_, world: &World| {
                world.next[world.pointer] >= world.read
            }),
        ]
    }
}

impl Part for Promotion {
    /// The candidate is compared, and if it is right, live.
    fn is_done(&self, world: &World) -> bool {
        let is_settled = match world.comparison {
            Comparison::Equal { .. } => world.pointer == 1,
            Comparison::Different { .. } => true,
            _ => false,
        };
        is_settled && world.switch == Switch::None && world.next[world.pointer] == self.records
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(action, Action::GiveUp | Action::GoBack)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Project(0) => write!(f, "the old generation applies a record"),
            Action::Project(_) => write!(f, "the candidate applies a record, or loses it"),
            Action::TakeSnapshot => write!(f, "the live rows are taken for the comparison"),
            Action::Compare => write!(f, "they are compared with the candidate's"),
            Action::BeginSwitch => write!(f, "the promotion begins"),
            Action::FindReady => write!(f, "it finds the other generation as far as the live one"),
            Action::Switch => write!(f, "it moves the pointer"),
            Action::Read => write!(f, "a reader reads"),
            Action::GiveUp => write!(f, "whoever moves the pointer crashes"),
            Action::GoBack => write!(f, "the old generation is wanted back"),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ["old", "candidate"][self.pointer];
        let is = if self.is_right { "right" } else { "wrong" };
        write!(f, "the old generation is at {}, ", self.next[0])?;
        write!(
            f,
            "the candidate ({is}) at {}, with {} rows; ",
            self.next[1],
            self.rows(1)
        )?;
        write!(
            f,
            "live: {name}; {:?}; read up to {}",
            self.comparison, self.read
        )
    }
}
