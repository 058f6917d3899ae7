//! Where each guard is missed.

use crate::{guard::Guard, promise};

/// What is broken without a guard.
#[derive(Debug)]
pub struct Rule {
    pub guard: Guard,
    /// The case that shows it.
    pub case: &'static str,
    pub breaks: &'static str,
}

/// Every guard, once.
pub const RULES: &[Rule] = &[
    rule(Guard::Epoch, "owners", promise::FENCED),
    rule(Guard::NextOffset, "owners", promise::LOST_OR_MOVED),
    rule(Guard::MarkInTransaction, "owners", promise::DOUBLED),
    rule(Guard::Forgetting, "shared", promise::LOST_OR_MOVED),
    rule(Guard::Reassign, "owners", promise::STUCK),
    rule(Guard::IdleLook, "owners", promise::STUCK),
    rule(Guard::SyncedClaim, "owners", promise::FENCED),
    rule(Guard::Outbox, "outbox", promise::LOST),
    rule(Guard::HoleFreeNumbers, "outbox", promise::ORDER),
    rule(Guard::OneProducer, "outbox", promise::ORDER),
    rule(Guard::NoTimeout, "outbox", promise::LOST),
    rule(Guard::RecoveryById, "recovery", promise::LOST),
    rule(Guard::Ledger, "emptied", promise::LOST),
    rule(Guard::RelayLooks, "old-outbox", promise::LOST),
    rule(Guard::SettledAppends, "two-processes", promise::LOST),
    rule(Guard::Renumbering, "two-histories", promise::LOST),
    rule(Guard::EntityLock, "two-inputs", promise::LOST),
    rule(Guard::ReadAfterLock, "two-inputs", promise::LOST),
    rule(Guard::RedriveLock, "redrive", promise::LOST),
    rule(Guard::RedrivePassesMark, "redrive", promise::LOST),
    rule(Guard::MarkOfParked, "redrive", promise::HOLE),
    rule(Guard::StopAtV, "promotion", promise::EQUAL),
    rule(Guard::CandidateBehind, "promotion", promise::EQUAL),
    rule(Guard::LettingGo, "promotion", promise::STUCK),
    rule(Guard::HeldCheckpoints, "promotion", promise::PAST),
    rule(Guard::OldGoesOn, "promotion", promise::STUCK),
    rule(Guard::SyncedHighWatermark, "log", promise::READ),
    rule(Guard::DuplicateWaits, "log", promise::ACKNOWLEDGED),
    rule(Guard::IdBlocks, "log", promise::ACKNOWLEDGED),
];

const fn rule(guard: Guard, case: &'static str, breaks: &'static str) -> Rule {
    Rule {
        guard,
        case,
        breaks,
    }
}

impl Rule {
    pub fn named(name: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.name() == name)
    }

    /// As on the command line: `next-offset`.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for letter in format!("{:?}", self.guard).chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}
