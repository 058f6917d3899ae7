//! Names and help of what the ad engine counts.

use metrics::{counter, describe_counter};

/// By `outcome`, see [`Tally`].
pub const CHANGES: &str = "compline_ad_changes_total";

pub fn describe() {
    describe_counter!(
        CHANGES,
        "Changes in Meta webhooks that the ad engine has decided, by outcome: applied (once per \
         tenant), unchanged, late, duplicate, waiting (nobody watches the account), expired, \
         unrecognized"
    );
}

/// Shows what has not happened yet as 0.
pub fn register() {
    for (outcome, _) in Tally::default().by_outcome() {
        counter!(CHANGES, "outcome" => outcome).increment(0);
    }
}

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
        for (outcome, count) in self.by_outcome() {
            if count > 0 {
                counter!(CHANGES, "outcome" => outcome).increment(count);
            }
        }
    }

    fn by_outcome(self) -> [(&'static str, u64); 7] {
        [
            ("applied", self.applied),
            ("unchanged", self.unchanged),
            ("late", self.late),
            ("duplicate", self.duplicate),
            ("waiting", self.waiting),
            ("expired", self.expired),
            ("unrecognized", self.unrecognized),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    #[derive(Default)]
    struct Said {
        help: Mutex<Vec<(String, String)>>,
        counted: Mutex<Vec<(String, String)>>,
    }

    impl Recorder for Said {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
            let said = (name.as_str().to_owned(), help.into_owned());
            self.help.lock().unwrap().push(said);
        }
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let outcome = key.labels().next().unwrap().value();
            let counted = (key.name().to_owned(), outcome.to_owned());
            self.counted.lock().unwrap().push(counted);
            Counter::noop()
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_outcome_is_explained() {
        let said = Said::default();
        let all = Tally {
            applied: 1,
            unchanged: 1,
            late: 1,
            duplicate: 1,
            waiting: 1,
            expired: 1,
            unrecognized: 1,
        };
        metrics::with_local_recorder(&said, || {
            describe();
            all.publish();
        });
        let help = said.help.into_inner().unwrap();
        let counted = said.counted.into_inner().unwrap();
        assert_eq!(counted.len(), 7);
        for (name, outcome) in counted {
            let explained = |(of, text): &(String, String)| *of == name && text.contains(&outcome);
            assert!(help.iter().any(explained), "{name} of {outcome}");
        }
    }
}
