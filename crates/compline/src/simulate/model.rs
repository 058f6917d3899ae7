//! What must come of the facts that a life told: the rules of ads in their
//! shortest form, written apart from the engine and the projection that keep
//! them.
//!
//! | told | becomes |
//! |---|---|
//! | before, with the same time and texts | nothing |
//! | a status older than the ad's newest fact | history only |
//! | the current status, while no fetch is due | nothing, but the ad is that new |
//! | any other status | the current one; no fetch is due; some close the issues |
//! | that something changed, not to what | a fetch is due |
//! | an issue | open, and the status is WITH_ISSUES; late, only when it is already |
//!
//! Equal times go by the order of the log.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use super::generator::{Fact, Says};

const WITH_ISSUES: &str = "WITH_ISSUES";

/// Statuses after which nothing hinders delivery, or nothing can.
const CLOSE_ISSUES: [&str; 4] = ["ACTIVE", "PREAPPROVED", "ARCHIVED", "DELETED"];

/// An ad as it must stand at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Index of its account.
    pub account: usize,
    /// Empty when no status was ever told.
    pub status: &'static str,
    /// Unix seconds: when the status became what it is.
    pub status_time: i64,
    pub issues: BTreeSet<&'static str>,
    pub fetch_needed: bool,
    newest: Option<i64>,
}

/// What a reader will see of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The ad's current status is this now.
    Current,
    /// Something, but not in the current status.
    Beside,
    Nothing,
}

/// All ads. Facts of one ad are folded in the order in which the log has them.
#[derive(Clone, Debug, Default)]
pub struct Model {
    ads: BTreeMap<u32, Expected>,
    /// Hashes of what was said: eight bytes each, for a life may be long. Two equal
    /// hashes would hide one change in 10^9 of a life of 10^5.
    said: HashSet<u64>,
    /// Ads of which a delivery had no answer: it may or may not be in the log.
    uncertain: BTreeSet<u32>,
}

impl Model {
    pub fn fold(&mut self, fact: &Fact) -> Effect {
        if fact.says != Says::NoValue && !self.said.insert(hash_of(fact)) {
            return Effect::Nothing;
        }
        let ad = self.ads.entry(fact.ad).or_default();
        ad.account = fact.account;
        let late = ad.newest.is_some_and(|newest| fact.time < newest);
        if !late {
            ad.newest = Some(fact.time);
        }
        match fact.says {
            Says::Status { new, .. } => ad.status_told(new, fact.time, late),
            Says::Issue { code } => ad.issue_told(code, fact.time, late),
            Says::NoValue => {
                ad.fetch_needed |= !late;
                Effect::Beside
            }
        }
    }

    pub fn ad(&self, ad: u32) -> Option<&Expected> {
        self.ads.get(&ad)
    }

    /// Nothing can be said of this ad any more.
    pub fn doubt(&mut self, ad: u32) {
        self.uncertain.insert(ad);
    }

    /// Everything that must stand, without the ads in doubt.
    pub fn expected(&self) -> impl Iterator<Item = (u32, &Expected)> {
        self.ads
            .iter()
            .filter(|(ad, _)| !self.uncertain.contains(ad))
            .map(|(ad, expected)| (*ad, expected))
    }

    pub fn uncertain(&self) -> usize {
        self.uncertain.len()
    }
}

fn hash_of(fact: &Fact) -> u64 {
    let mut hasher = DefaultHasher::new();
    (fact.ad, fact.time, &fact.says).hash(&mut hasher);
    hasher.finish()
}

impl Expected {
    fn status_told(&mut self, new: &'static str, time: i64, late: bool) -> Effect {
        if late {
            return Effect::Beside;
        }
        let fetch_was_due = std::mem::take(&mut self.fetch_needed);
        if self.status == new && !fetch_was_due {
            return Effect::Nothing;
        }
        self.become_status(new, time);
        Effect::Current
    }

    fn issue_told(&mut self, code: &'static str, time: i64, late: bool) -> Effect {
        if late {
            if self.status == WITH_ISSUES {
                self.issues.insert(code);
            }
            return Effect::Beside;
        }
        let fetch_was_due = std::mem::take(&mut self.fetch_needed);
        let effect = match self.status == WITH_ISSUES && !fetch_was_due {
            true => Effect::Beside,
            false => {
                self.become_status(WITH_ISSUES, time);
                Effect::Current
            }
        };
        self.issues.insert(code);
        effect
    }

    fn become_status(&mut self, status: &'static str, time: i64) {
        self.status = status;
        self.status_time = time;
        if CLOSE_ISSUES.contains(&status) {
            self.issues.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(ad: u32, time: i64, old: &'static str, new: &'static str) -> Fact {
        Fact {
            account: 0,
            ad,
            time,
            says: Says::Status { old, new },
        }
    }

    #[test]
    fn the_table_holds() {
        let mut model = Model::default();
        let told = [
            (status(1, 10, "", "ACTIVE"), Effect::Current),
            (status(1, 10, "", "ACTIVE"), Effect::Nothing),
            (status(1, 10, "ACTIVE", "PAUSED"), Effect::Current),
            (status(1, 9, "ACTIVE", "ARCHIVED"), Effect::Beside),
            (status(1, 20, "PAUSED", "PAUSED"), Effect::Nothing),
            (status(1, 15, "PAUSED", "ACTIVE"), Effect::Beside),
        ];
        for (fact, effect) in told {
            assert_eq!(model.fold(&fact), effect, "{fact:?}");
        }
        let (_, ad) = model.expected().next().unwrap();
        assert_eq!((ad.status, ad.status_time), ("PAUSED", 10));
        model.doubt(1);
        assert_eq!(model.expected().count(), 0);
    }

    #[test]
    fn issues_open_and_close_and_a_fetch_is_due_until_a_status_comes() {
        let mut model = Model::default();
        let told = |time, says| Fact {
            account: 0,
            ad: 1,
            time,
            says,
        };
        let issue = |time| told(time, Says::Issue { code: "1" });
        let told = [
            (issue(10), Effect::Current),
            (issue(10), Effect::Nothing),
            (issue(11), Effect::Beside),
            (told(12, Says::NoValue), Effect::Beside),
            (status(1, 12, "", WITH_ISSUES), Effect::Current),
            (status(1, 13, "", "PAUSED"), Effect::Current),
            (issue(9), Effect::Beside),
        ];
        for (fact, effect) in told {
            assert_eq!(model.fold(&fact), effect, "{fact:?}");
        }
        let ad = model.ad(1).unwrap();
        assert_eq!((ad.issues.len(), ad.fetch_needed), (1, false));
        model.fold(&status(1, 14, "", "ACTIVE"));
        assert!(model.ad(1).unwrap().issues.is_empty());
    }
}
