//! The parts in the sizes that are checked, and where each guard is missed.

use crate::{
    check::{NEVER_STUCK, Verdict, check},
    engine::Engine,
    entity::Meeting,
    generation::Promotion,
    guard::{Guard, Guards},
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

/// What is missed without a guard.
#[derive(Debug)]
pub struct Rule {
    pub name: &'static str,
    pub guard: Guard,
    /// The case that shows it.
    pub case: &'static str,
    /// The promise that is broken then.
    pub breaks: &'static str,
}

const LOST: &str = "nothing is lost";
const LOST_OR_MOVED: &str = "nothing is lost or out of order";
const DOUBLED: &str = "nothing is doubled";

/// Every guard, once.
pub const RULES: &[Rule] = &[
    rule(
        "epoch",
        Guard::Epoch,
        "owners",
        "who was fenced writes nothing",
    ),
    rule("next-offset", Guard::NextOffset, "owners", LOST_OR_MOVED),
    rule(
        "mark-in-transaction",
        Guard::MarkInTransaction,
        "owners",
        DOUBLED,
    ),
    rule(
        "forgetting",
        Guard::Forgetting,
        "shared-transactions",
        LOST_OR_MOVED,
    ),
    rule("reassign", Guard::Reassign, "owners", NEVER_STUCK),
    rule("idle-look", Guard::IdleLook, "owners", NEVER_STUCK),
    rule(
        "synced-claim",
        Guard::SyncedClaim,
        "owners",
        "who was fenced writes nothing",
    ),
    rule("outbox", Guard::Outbox, "outbox", LOST),
    rule(
        "hole-free-numbers",
        Guard::HoleFreeNumbers,
        "outbox",
        "what is decided is read in that order",
    ),
    rule(
        "one-producer",
        Guard::OneProducer,
        "outbox",
        "what is decided is read in that order",
    ),
    rule("no-timeout", Guard::NoTimeout, "outbox", LOST),
    rule("recovery-by-id", Guard::RecoveryById, "recovery", LOST),
    rule("ledger", Guard::Ledger, "recovery", LOST),
    rule("relay-looks", Guard::RelayLooks, "old-outbox", LOST),
    rule(
        "settled-appends",
        Guard::SettledAppends,
        "two-processes",
        LOST,
    ),
    rule("renumbering", Guard::Renumbering, "two-histories", LOST),
    rule("entity-lock", Guard::EntityLock, "two-inputs", LOST),
    rule("read-after-lock", Guard::ReadAfterLock, "two-inputs", LOST),
    rule("redrive-lock", Guard::RedriveLock, "redrive", LOST),
    rule(
        "redrive-passes-mark",
        Guard::RedrivePassesMark,
        "redrive",
        LOST,
    ),
    rule(
        "mark-of-parked",
        Guard::MarkOfParked,
        "redrive",
        "no reader meets a hole",
    ),
    rule(
        "stop-at-v",
        Guard::StopAtV,
        "promotion",
        "what is equal is not taken for different",
    ),
    rule(
        "candidate-behind",
        Guard::CandidateBehind,
        "promotion",
        "what is equal is not taken for different",
    ),
    rule("letting-go", Guard::LettingGo, "promotion", NEVER_STUCK),
    rule(
        "held-checkpoints",
        Guard::HeldCheckpoints,
        "promotion",
        "no reader goes back",
    ),
    rule("old-goes-on", Guard::OldGoesOn, "promotion", NEVER_STUCK),
    rule(
        "synced-high-watermark",
        Guard::SyncedHighWatermark,
        "log",
        "what was read stands in the log",
    ),
    rule(
        "duplicate-waits",
        Guard::DuplicateWaits,
        "log",
        "nothing acknowledged is lost",
    ),
    rule(
        "id-blocks",
        Guard::IdBlocks,
        "log",
        "nothing acknowledged is lost",
    ),
];

const fn rule(name: &'static str, guard: Guard, case: &'static str, breaks: &'static str) -> Rule {
    Rule {
        name,
        guard,
        case,
        breaks,
    }
}

impl Rule {
    pub fn named(name: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.name == name)
    }
}

pub const CASES: &[Case] = &[
    Case {
        name: "owners",
        about: "two owners of one partition, whose records come twice",
        strikes: 3,
        run: |guards, strikes| {
            let log = vec![vec![1, 2, 1, 2, 3]];
            check(|| Projector {
                guards,
                strikes,
                log: log.clone(),
            })
        },
    },
    Case {
        name: "shared-transactions",
        about: "two owners of two partitions, which share transactions",
        strikes: 2,
        run: |guards, strikes| {
            let log = vec![vec![1, 1, 2], vec![1, 2]];
            check(|| Projector {
                guards,
                strikes,
                log: log.clone(),
            })
        },
    },
    Case {
        name: "outbox",
        about: "two tasks that decide, two relays, a reader",
        strikes: 2,
        run: |guards, strikes| {
            let inputs = [vec!['a', 'b'], vec!['c']];
            check(|| Engine {
                guards,
                strikes,
                inputs: inputs.clone(),
            })
        },
    },
    Case {
        name: "recovery",
        about: "the database of a running engine goes back, or is empty; two output partitions",
        strikes: 1,
        run: |guards, strikes| {
            check(|| Recovery {
                guards: guards.without(Guard::Renumbering),
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 2,
            })
        },
    },
    Case {
        name: "old-outbox",
        about: "the same with one output partition, and an outbox that is older than what was told",
        strikes: 1,
        run: |guards, strikes| {
            check(|| Recovery {
                guards: guards.without(Guard::Renumbering),
                strikes,
                inputs: vec![(vec!['a', 'b'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 1,
            })
        },
    },
    Case {
        name: "two-histories",
        about: "the backup comes back after the engine has gone on from empty tables",
        strikes: 2,
        run: |guards, strikes| {
            check(|| Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 0)],
                processes: 1,
                places: 1,
            })
        },
    },
    Case {
        name: "two-processes",
        about: "the same in two processes",
        strikes: 2,
        run: |guards, strikes| {
            check(|| Recovery {
                guards,
                strikes,
                inputs: vec![(vec!['a'], 0), (vec!['c'], 1)],
                processes: 2,
                places: 1,
            })
        },
    },
    Case {
        name: "two-inputs",
        about: "two webhooks of an account and its connection",
        strikes: 3,
        run: |guards, strikes| {
            check(|| Meeting {
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
            check(|| Redrive {
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
            check(|| Promotion {
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
            check(|| Log {
                guards,
                strikes,
                words: words.clone(),
            })
        },
    },
];
