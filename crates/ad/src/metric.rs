//! Names and help texts of this crate's metrics.

use metrics::counter;

/// By `outcome`, see [`Tally`].
pub const CHANGES: &str = "compline_ad_changes_total";

/// All metrics with their help texts, for whoever describes them to a recorder.
pub const HELP: &[(&str, &str)] = &[(
    CHANGES,
    "Changes in Meta webhooks that the ad engine has decided, by outcome: applied (once per \
     tenant), unchanged, late, duplicate, waiting (nobody watches the account), expired, \
     unrecognized",
)];

/// What became of the changes of one batch. Counted when the batch is stored; a
/// batch that is rolled back and tried again counts twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) applied: u64,
    pub(crate) unchanged: u64,
    pub(crate) late: u64,
    pub(crate) duplicate: u64,
    pub(crate) waiting: u64,
    pub(crate) expired: u64,
    pub(crate) unrecognized: u64,
}

impl Tally {
    pub(crate) fn publish(self) {
        let counts = [
            ("applied", self.applied),
            ("unchanged", self.unchanged),
            ("late", self.late),
            ("duplicate", self.duplicate),
            ("waiting", self.waiting),
            ("expired", self.expired),
            ("unrecognized", self.unrecognized),
        ];
        for (outcome, count) in counts {
            if count > 0 {
                counter!(CHANGES, "outcome" => outcome).increment(count);
            }
        }
    }
}
