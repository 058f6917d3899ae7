//! What Meta and our relays send in the life of some ads. Pure and seeded: no
//! clock, and the only randomness is the seed's.
//!
//! | share of deliveries | kind |
//! |---|---|
//! | most | one status change |
//! | 8 % | 2 to 20 status changes in one POST, over several entries |
//! | 6 % | an earlier body once more, byte for byte |
//! | 5 % | a change older than the ad's newest |
//! | 5 % | another change of the same second |
//! | 4 % | an issue |
//! | 2 % | a change that carries no value |
//! | 2 % | a field that nobody knows, or no JSON |
//! | 2 % | an account that nobody has connected |
//! | every [`BURST_EVERY`] changes | 1,000 changes in one POST |
//!
//! All changes of one account travel in bodies of that account, and whoever sends
//! them keeps their order within the account: it is the key of the log, and the
//! order of equal times is the log's.

mod body;
mod delivery;

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

pub use delivery::{Delivery, Fact, Kind, Says};

/// Changes in the largest POST that Meta sends.
pub const BURST: usize = 1000;
/// How many changes lie between two bursts.
pub const BURST_EVERY: u64 = 10_000;
/// How many earlier bodies may come once more.
const REMEMBERED: usize = 64;

/// Meta's effective_status values that an ad really wanders through.
const STATUSES: [&str; 8] = [
    "ACTIVE",
    "PAUSED",
    "DISAPPROVED",
    "PENDING_REVIEW",
    "CAMPAIGN_PAUSED",
    "ADSET_PAUSED",
    "PREAPPROVED",
    "ARCHIVED",
];

const ISSUES: [(&str, &str); 3] = [
    ("1815869", "Ad post is not available"),
    ("2490408", "Your payment could not be taken"),
    ("1487880", "The landing page does not work"),
];

/// Which life.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Connected ad accounts, digits; at least one.
    pub accounts: Vec<String>,
    /// How many ads there are over all accounts, > 0.
    pub ads: u32,
    /// The first ad's id; the others count on from it.
    pub first_ad: u64,
    /// Unix seconds at which the life begins.
    pub begins_at: i64,
    /// Changes a second, > 0: how the life's own clock goes on.
    pub rate: f64,
}

/// Endless; take as many as wanted.
#[derive(Debug)]
pub struct Life {
    plan: Plan,
    rng: StdRng,
    /// The newest status said of each ad and its time.
    ads: Vec<Option<(&'static str, i64)>>,
    earlier: Vec<(Bytes, usize, u32)>,
    changes: u64,
    next_burst: u64,
}

impl Life {
    pub fn new(plan: Plan) -> Self {
        assert!(!plan.accounts.is_empty() && plan.ads > 0 && plan.rate > 0.0);
        Self {
            rng: StdRng::seed_from_u64(plan.seed),
            ads: vec![None; plan.ads as usize],
            earlier: Vec::new(),
            changes: 0,
            next_burst: BURST_EVERY / 4,
            plan,
        }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Seconds after the beginning at which the next delivery is due.
    pub fn due_seconds(&self) -> f64 {
        self.changes as f64 / self.plan.rate
    }

    fn now(&self) -> i64 {
        self.plan.begins_at + self.due_seconds() as i64
    }

    fn kind(&mut self) -> Kind {
        if self.changes >= self.next_burst {
            self.next_burst += BURST_EVERY;
            return Kind::Burst;
        }
        match self.rng.random_range(0..100) {
            0..8 => Kind::Batch,
            8..14 => Kind::Duplicate,
            14..19 => Kind::Late,
            19..24 => Kind::EqualTime,
            24..28 => Kind::Issue,
            28..30 => Kind::NoValue,
            30..32 => Kind::Unknown,
            32..34 => Kind::UnknownAccount,
            _ => Kind::Single,
        }
    }

    fn delivery(&mut self) -> Delivery {
        let kind = self.kind();
        let delivery = match kind {
            Kind::Single => self.statuses(kind, 1),
            Kind::Batch => {
                let changes = self.rng.random_range(2..=20);
                self.statuses(kind, changes)
            }
            Kind::Burst => self.statuses(kind, BURST),
            Kind::Duplicate => self.once_more(),
            Kind::Late => self.late(),
            Kind::EqualTime => self.equal_time(),
            Kind::Issue => self.issue(),
            Kind::NoValue => self.no_value(),
            Kind::Unknown => self.unknown(),
            Kind::UnknownAccount => self.unknown_account(),
        };
        self.changes += u64::from(delivery.changes);
        // A change without a value asks for a fetch each time it comes, so it is no
        // duplicate; a burst once more would be a tenth of all there is.
        if !matches!(delivery.kind, Kind::Duplicate | Kind::NoValue | Kind::Burst) {
            let entry = (delivery.body.clone(), delivery.lane, delivery.changes);
            match self.earlier.len() < REMEMBERED {
                true => self.earlier.push(entry),
                false => {
                    let slot = self.rng.random_range(0..REMEMBERED);
                    self.earlier[slot] = entry;
                }
            }
        }
        delivery
    }

    /// An ad of `account`: ads are dealt to accounts in turn.
    fn ad_of(&mut self, account: usize) -> u32 {
        let accounts = self.plan.accounts.len() as u32;
        let first = account as u32;
        let count = (self.plan.ads.saturating_sub(first)).div_ceil(accounts);
        first + accounts * self.rng.random_range(0..count)
    }

    /// An account that has an ad.
    fn account(&mut self) -> usize {
        let with_ads = self.plan.accounts.len().min(self.plan.ads as usize);
        self.rng.random_range(0..with_ads)
    }

    /// Another status than the ad's, and the change to it.
    fn status_fact(&mut self, account: usize, ad: u32, time: i64) -> Fact {
        let old = self.ads[ad as usize].map_or("", |(status, _)| status);
        let new = loop {
            let new = *STATUSES.choose(&mut self.rng).expect("there are statuses");
            if new != old {
                break new;
            }
        };
        Fact {
            account,
            ad,
            time,
            says: Says::Status { old, new },
        }
    }

    /// Remembers what has been said, where it is the newest.
    fn note(&mut self, fact: &Fact) {
        let Says::Status { new, .. } = fact.says else {
            return;
        };
        let known = &mut self.ads[fact.ad as usize];
        if known.is_none_or(|(_, time)| fact.time >= time) {
            *known = Some((new, fact.time));
        }
    }

    fn statuses(&mut self, kind: Kind, changes: usize) -> Delivery {
        let account = self.account();
        let now = self.now();
        let mut facts = Vec::with_capacity(changes);
        for _ in 0..changes {
            let ad = self.ad_of(account);
            let fact = self.status_fact(account, ad, now);
            self.note(&fact);
            facts.push(fact);
        }
        self.tell(kind, account, facts)
    }

    fn late(&mut self) -> Delivery {
        let account = self.account();
        let ad = self.ad_of(account);
        let Some((_, newest)) = self.ads[ad as usize] else {
            return self.statuses(Kind::Single, 1);
        };
        let time = newest - self.rng.random_range(1..600);
        let fact = self.status_fact(account, ad, time);
        self.tell(Kind::Late, account, vec![fact])
    }

    fn equal_time(&mut self) -> Delivery {
        let account = self.account();
        let ad = self.ad_of(account);
        let time = self.now();
        let facts: Vec<Fact> = (0..2)
            .map(|_| {
                let fact = self.status_fact(account, ad, time);
                self.note(&fact);
                fact
            })
            .collect();
        self.tell(Kind::EqualTime, account, facts)
    }

    fn issue(&mut self) -> Delivery {
        let account = self.account();
        let fact = Fact {
            account,
            ad: self.ad_of(account),
            time: self.now(),
            says: Says::Issue {
                code: ISSUES.choose(&mut self.rng).expect("there are issues").0,
            },
        };
        self.tell(Kind::Issue, account, vec![fact])
    }

    fn no_value(&mut self) -> Delivery {
        let account = self.account();
        let fact = Fact {
            account,
            ad: self.ad_of(account),
            time: self.now(),
            says: Says::NoValue,
        };
        self.tell(Kind::NoValue, account, vec![fact])
    }

    /// A lane's own order is kept, so an earlier body comes after what it repeats.
    fn once_more(&mut self) -> Delivery {
        let Some((body, lane, changes)) = self.earlier.choose(&mut self.rng).cloned() else {
            return self.statuses(Kind::Single, 1);
        };
        Delivery {
            body,
            lane,
            kind: Kind::Duplicate,
            changes,
            facts: Vec::new(),
        }
    }

    fn unknown(&mut self) -> Delivery {
        let account = self.account();
        let body = match self.rng.random_range(0..3) {
            0 => Bytes::from_static(body::FORM),
            1 => body::of_unknown_field(&self.plan.accounts[account], self.now()),
            _ => body::of_unknown_object(),
        };
        Delivery {
            body,
            lane: account,
            kind: Kind::Unknown,
            changes: 1,
            facts: Vec::new(),
        }
    }

    fn unknown_account(&mut self) -> Delivery {
        let account = format!("9{:014}", self.rng.random_range(0..100_000_000_000_000u64));
        let says = Says::Status {
            old: "ACTIVE",
            new: "PAUSED",
        };
        Delivery {
            body: body::of_changes(&account, self.now(), [(1, &says)].into_iter()),
            lane: self.rng.random_range(0..self.plan.accounts.len()),
            kind: Kind::UnknownAccount,
            changes: 1,
            facts: Vec::new(),
        }
    }

    /// Puts facts of one account into a body, one entry for each time and shape.
    fn tell(&self, kind: Kind, account: usize, facts: Vec<Fact>) -> Delivery {
        let id = &self.plan.accounts[account];
        let ad_of = |fact: &Fact| self.plan.first_ad + u64::from(fact.ad);
        let told = facts.iter().map(|fact| (ad_of(fact), &fact.says));
        Delivery {
            body: body::of_changes(id, facts[0].time, told),
            lane: account,
            kind,
            changes: u32::try_from(facts.len()).expect("at most a burst"),
            facts,
        }
    }
}

impl Iterator for Life {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        Some(self.delivery())
    }
}
