//! Protocol §5: a second generation is compared with the live one and takes its place.
//!
//! The log stands. Both generations are projected; how many records each has applied is all that
//! their rows say. The candidate is right, or loses a record. A comparison holds it where it is,
//! takes the live rows once they are as far, lets it go on to there, and looks. A reader remembers
//! how far what it read was.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    guard::{Guard, Guards},
    part::Part,
    promise,
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
    /// The candidate goes no further.
    held_at: Option<u8>,
    /// A promotion, or the way back: it has found that the other generation may take over.
    switch: Switch,
    /// How far what a reader has read last was.
    read: u8,
    strikes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Comparison {
    None,
    /// Its session is gone.
    Killed,
    Begun,
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
    BeginComparison,
    TakeSnapshot,
    Compare,
    /// What a comparison has left behind is taken away.
    LetGo,
    BeginSwitch,
    FindReady,
    Switch,
    Read,
    /// Whoever switches is gone, and what it held is free.
    GiveUp,
    /// Whoever compares is gone.
    KillComparison,
    CompareAgain,
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
        let is_locked = self.guards.hold(Guard::HeldCheckpoints)
            && world.switch != Switch::None
            && generation == world.pointer;
        let is_held = generation == 1 && world.held_at == Some(world.next[1]);
        let is_old = generation == 0 && world.pointer == 1;
        if is_locked || is_held || is_old && !self.guards.hold(Guard::OldGoesOn) {
            return None;
        }
        if world.next[generation] == self.records {
            return None;
        }
        world.next[generation] += 1;
        Some(())
    }

    /// `readmodel::hold`.
    fn hold(&self, world: &mut World, at: u8) {
        if self.guards.hold(Guard::StopAtV) {
            world.held_at = Some(at);
        }
    }

    /// `readmodel::compare`.
    fn compare(&self, world: &mut World, action: Action) -> Option<()> {
        let next = world.next;
        match (action, &world.comparison) {
            (Action::BeginComparison, Comparison::None)
            | (Action::CompareAgain, Comparison::Killed)
                if world.pointer == 0 =>
            {
                self.hold(world, next[1]);
                world.comparison = Comparison::Begun;
            }
            (Action::TakeSnapshot, Comparison::Begun) => {
                if next[0] < next[1] && self.guards.hold(Guard::CandidateBehind) {
                    return None;
                }
                let (at, live) = (next[0], world.rows(0));
                self.hold(world, at);
                world.comparison = Comparison::Waits { at, live };
            }
            (Action::Compare, &Comparison::Waits { at, live }) if next[1] >= at => {
                world.comparison = match world.rows(1) == live {
                    true => Comparison::Equal { at },
                    false => Comparison::Different { at },
                };
                world.held_at = None;
            }
            (Action::KillComparison, Comparison::Begun | Comparison::Waits { .. }) => {
                world.comparison = Comparison::Killed;
            }
            (Action::LetGo, Comparison::Killed) if self.guards.hold(Guard::LettingGo) => {
                world.held_at.take()?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// The promises.
impl Promotion {
    fn sees_differences(&self, world: &World) -> bool {
        let differs = |at| !world.is_right && at > LOST;
        !matches!(world.comparison, Comparison::Equal { at } if differs(at))
    }

    fn sees_equality(&self, world: &World) -> bool {
        let is_refused = matches!(world.comparison, Comparison::Different { .. });
        !(world.is_right && is_refused)
    }

    fn shows_no_past(&self, world: &World) -> bool {
        world.next[world.pointer] >= world.read
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
            held_at: None,
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
            Action::BeginComparison,
            Action::TakeSnapshot,
            Action::Compare,
            Action::LetGo,
            Action::BeginSwitch,
            Action::FindReady,
            Action::Switch,
            Action::Read,
            Action::GiveUp,
            Action::KillComparison,
            Action::CompareAgain,
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
            Action::BeginComparison
            | Action::TakeSnapshot
            | Action::Compare
            | Action::KillComparison
            | Action::CompareAgain
            | Action::LetGo => self.compare(&mut world, action)?,
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
            Property::always(promise::DIFFERENT, Self::sees_differences),
            Property::always(promise::EQUAL, Self::sees_equality),
            Property::always(promise::PAST, Self::shows_no_past),
        ]
    }
}

impl Part for Promotion {
    /// The candidate is compared, and if it is right, live; or nobody compares any more.
    fn is_done(&self, world: &World) -> bool {
        let is_at_end = |generation: usize| world.next[generation] == self.records;
        let is_settled = match world.comparison {
            Comparison::Equal { .. } => world.pointer == 1,
            Comparison::Different { .. } => true,
            Comparison::Killed => is_at_end(1),
            Comparison::None | Comparison::Begun | Comparison::Waits { .. } => false,
        };
        is_settled && is_at_end(world.pointer) && world.switch == Switch::None
    }

    fn is_fate(&self, action: &Action) -> bool {
        matches!(
            action,
            Action::GiveUp | Action::KillComparison | Action::CompareAgain | Action::GoBack
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Project(0) => write!(f, "the old generation applies a record"),
            Action::Project(_) => write!(f, "the candidate applies a record, or loses it"),
            Action::BeginComparison => write!(f, "a comparison holds the candidate where it is"),
            Action::LetGo => write!(f, "the candidate is let go, whoever held it is gone"),
            Action::CompareAgain => write!(f, "another holds the candidate where it is"),
            Action::KillComparison => write!(f, "whoever compares crashes"),
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
