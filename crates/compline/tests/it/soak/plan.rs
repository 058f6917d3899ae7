//! Who dies next, and what else happens meanwhile.

use rand::{Rng as _, rngs::StdRng};

/// What an operator does while everybody is being killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    BackUp,
    Restore,
    Rebuild,
    Promote,
    Drop,
}

/// When, in percent of a round.
const ROUND: [(u32, Event); 5] = [
    (10, Event::BackUp),
    (30, Event::Restore),
    (45, Event::Rebuild),
    (60, Event::Promote),
    (90, Event::Drop),
];

/// The most kills of a round.
const LONGEST_ROUND: u32 = 125;

pub(super) struct Plan {
    round: u32,
}

impl Plan {
    pub(super) fn of(kills: u32) -> Self {
        Self {
            round: kills.clamp(1, LONGEST_ROUND),
        }
    }

    /// Those that were due since the former of these kills.
    pub(super) fn events_between(&self, former: u32, kill: u32) -> Vec<Event> {
        let mut events = Vec::new();
        for each in former + 1..=kill {
            let at = |percent: u32| percent * self.round / 100;
            let due = ROUND
                .iter()
                .filter(|(percent, _)| at(*percent) == each % self.round);
            events.extend(due.map(|(_, event)| *event));
        }
        events
    }
}

/// Whom a kill is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victim {
    /// This instance of a role.
    One(usize),
    /// Both instances of this one's role.
    Both(usize),
    Log,
    Postgres,
    Everything,
}

impl Victim {
    pub(super) fn any(rng: &mut StdRng, instances: usize) -> Self {
        let index = rng.random_range(0..instances);
        match rng.random_range(0..100) {
            0..66 => Self::One(index),
            66..74 => Self::Both(index),
            74..86 => Self::Log,
            86..99 => Self::Postgres,
            _ => Self::Everything,
        }
    }
}
