//! The parts, in the sizes that are checked.

use crate::{
    check::{Verdict, check},
    engine::Engine,
    entity::Meeting,
    generation::Promotion,
    guard::Guards,
    log::Log,
    projector::Projector,
    recovery::Recovery,
    redrive::Redrive,
};

/// A part of the protocol in one size.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    /// How often fate may strike.
    pub strikes: u8,
    run: fn(Guards, u8) -> Verdict,
}

impl Case {
    pub fn named(name: &str) -> Option<&'static Case> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Checks it, with another number of strikes perhaps.
    pub fn check(&self, guards: Guards, strikes: Option<u8>) -> Verdict {
        (self.run)(guards, strikes.unwrap_or(self.strikes))
    }
}

pub const CASES: &[Case] = &[
    Case {
        name: "owners",
        about: "two owners of one partition, whose records come twice",
        strikes: 3,
        run: |guards, strikes| {
            let log = vec![vec![1, 2, 1, 2, 3]];
            check(Projector {
                guards,
                strikes,
                log,
            })
        },
    },
    Case {
        name: "shared",
        about: "two owners of two partitions, which share transactions",
        strikes: 2,
        run: |guards, strikes| {
            let log = vec![vec![1, 1, 2], vec![1, 2]];
            check(Projector {
                guards,
                strikes,
                log,
            })
        },
    },
    Case {
        name: "outbox",
        about: "two tasks that decide, two relays, a reader",
        strikes: 2,
        run: |guards, strikes| {
            let inputs = [vec!['a', 'b'], vec!['c']];
            check(Engine {
                guards,
                strikes,
                inputs,
            })
        },
    },
    Case {
        name: "recovery",
        about: "the database of a running engine goes back, or is empty; two output partitions",
        strikes: 1,
        run: |guards, strikes| {
            check(Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 2,
                server_stays: false,
            })
        },
    },
    Case {
        name: "old-outbox",
        about: "the same with one output partition, and an outbox that is older than what was told",
        strikes: 1,
        run: |guards, strikes| {
            check(Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a', 'b'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 1,
                server_stays: false,
            })
        },
    },
    Case {
        name: "two-histories",
        about: "the backup comes back after the engine has gone on from empty tables",
        strikes: 2,
        run: |guards, strikes| {
            check(Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 1,
                server_stays: false,
            })
        },
    },
    Case {
        name: "two-processes",
        about: "the same in two processes",
        strikes: 2,
        run: |guards, strikes| {
            check(Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 1)],
                processes: 2,
                places: 1,
                server_stays: false,
            })
        },
    },
    Case {
        name: "emptied",
        about: "the tables of a running engine are emptied in a quiet moment, under a server that goes on",
        strikes: 1,
        run: |guards, strikes| {
            check(Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a', 'b'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 1,
                server_stays: true,
            })
        },
    },
    Case {
        name: "two-inputs",
        about: "two webhooks of an account and its connection",
        strikes: 3,
        run: |guards, strikes| {
            check(Meeting {
                guards,
                strikes,
                webhooks: 2,
            })
        },
    },
    Case {
        name: "redrive",
        about: "a parked key is tried again beside live traffic",
        strikes: 3,
        run: |guards, strikes| {
            check(Redrive {
                guards,
                strikes,
                records: 4,
            })
        },
    },
    Case {
        name: "promotion",
        about: "a rebuild, right or wrong, is compared, promoted and rolled back",
        strikes: 3,
        run: |guards, strikes| {
            check(Promotion {
                guards,
                strikes,
                records: 4,
            })
        },
    },
    Case {
        name: "log",
        about: "two producers, a reader, and a broker whose disk forgets",
        strikes: 3,
        run: |guards, strikes| {
            let words = vec![vec!['a', 'b'], vec!['c', 'd']];
            check(Log {
                guards,
                strikes,
                words,
            })
        },
    },
];
