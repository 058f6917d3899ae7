//! How a generation that nobody reads leaves room for the one that is read.
//!
//! A rebuild would take all of two processors for as long as it lasts. So it rests
//! after each transaction, as long as that one took, while the live generation of
//! the same process has work; without any, it goes at full speed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The live generation had work when it committed something within this time.
const LATELY_MS: u64 = 200;

/// When the live generation committed last. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Milliseconds after `began`, plus one; 0 when never.
    last: Arc<AtomicU64>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last: Arc::default(),
        }
    }
}

impl Activity {
    fn note(&self, now: Instant) {
        self.last.store(self.ms(now) + 1, Ordering::Relaxed);
    }

    fn is_lately(&self, now: Instant) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && self.ms(now) < last + LATELY_MS
    }

    fn ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Who goes first. Clones share it.
#[derive(Clone, Debug)]
pub struct Tempo {
    /// Of the generation that is read, this one or another.
    live: Activity,
    is_live: Arc<AtomicBool>,
}

/// Of one that is alone.
impl Default for Tempo {
    fn default() -> Self {
        Self::new(Activity::default(), true)
    }
}

impl Tempo {
    pub(crate) fn new(live: Activity, is_live: bool) -> Self {
        Self {
            live,
            is_live: Arc::new(AtomicBool::new(is_live)),
        }
    }

    /// Whether readers read what it writes.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Relaxed)
    }

    /// A generation that is promoted, or was, need not begin anew.
    pub(crate) fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Ordering::Relaxed);
    }

    /// Most transactions at once, of `most`.
    pub(crate) fn at_once(&self, most: usize) -> usize {
        match self.is_live() {
            true => most,
            false => 1,
        }
    }

    /// A transaction that took `time` has ended at `now`: how long until the next.
    pub(crate) fn rest_after(&self, time: Duration, now: Instant) -> Duration {
        if self.is_live() {
            self.live.note(now);
            return Duration::ZERO;
        }
        match self.live.is_lately(now) {
            true => time,
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_read_rests_only_while_the_other_has_work() {
        let activity = Activity::default();
        let (live, beside) = (
            Tempo::new(activity.clone(), true),
            Tempo::new(activity, false),
        );
        let (time, none) = (Duration::from_millis(30), Duration::ZERO);
        let at = |ms| Instant::now() + Duration::from_millis(ms);
        assert_eq!(
            beside.rest_after(time, at(0)),
            none,
            "nothing was committed yet"
        );
        assert_eq!(live.rest_after(time, at(10_000)), none);
        assert_eq!(beside.rest_after(time, at(10_100)), time);
        assert_eq!(beside.rest_after(time, at(10_300)), none);
        assert_eq!((live.at_once(4), beside.at_once(4)), (4, 1));

        // A promote changes their places.
        live.set_live(false);
        beside.set_live(true);
        assert_eq!(beside.rest_after(time, at(20_000)), none);
        assert_eq!(live.rest_after(time, at(20_100)), time);
    }
}
