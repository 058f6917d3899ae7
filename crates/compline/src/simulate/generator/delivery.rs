//! What is posted, and what it says.

use bytes::Bytes;

/// One POST.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub body: Bytes,
    /// Deliveries of one lane must reach the log in order.
    pub lane: usize,
    pub kind: Kind,
    /// How many changes it counts as.
    pub changes: u32,
    /// What it says of connected ads, in order. Empty for a body that is sent once
    /// more: that must change nothing.
    pub facts: Vec<Fact>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Single,
    Batch,
    Burst,
    Duplicate,
    Late,
    EqualTime,
    Issue,
    NoValue,
    Unknown,
    UnknownAccount,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Single => "single change",
            Kind::Batch => "2 to 20 changes",
            Kind::Burst => "1,000 changes",
            Kind::Duplicate => "sent once more",
            Kind::Late => "late change",
            Kind::EqualTime => "equal time",
            Kind::Issue => "issue",
            Kind::NoValue => "without value",
            Kind::Unknown => "unknown shape",
            Kind::UnknownAccount => "unknown account",
        }
    }
}

/// What one change says of one ad of a connected account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Index into [`super::Plan::accounts`].
    pub account: usize,
    /// Index of the ad; its id is [`super::Plan::first_ad`] plus this.
    pub ad: u32,
    /// Unix seconds, the change's version.
    pub time: i64,
    pub says: Says,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Says {
    Status {
        old: &'static str,
        new: &'static str,
    },
    Issue {
        code: &'static str,
    },
    NoValue,
}
