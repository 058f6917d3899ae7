//! How a generation that nobody reads leaves room for the one that is read.
//!
//! A rebuild would take all of two processors for as long as it lasts. So it rests
//! after each transaction, as long as that one took, while the live generation of
//! the same process has work; without any, it goes at full speed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The live generation had work when it committed something within this time.
const LATELY_MS: u64 = 200;

/// Whether the live generation has work. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Transactions that run.
    running: Arc<AtomicUsize>,
    /// When the last one ended: milliseconds after `began`, plus one; 0 when never.
    last: Arc<AtomicU64>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            running: Arc::default(),
            last: Arc::default(),
        }
    }
}

impl Activity {
    fn is_lately(&self, now: Instant) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        self.running.load(Ordering::Relaxed) > 0 || last > 0 && self.ms(now) < last + LATELY_MS
    }

    fn ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A transaction that runs.
#[derive(Debug)]
pub(crate) struct Turn {
    began: Instant,
    /// Of the live generation's.
    live: Option<Activity>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(activity) = &self.live {
            activity.running.fetch_sub(1, Ordering::Relaxed);
        }
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

    /// A transaction begins.
    pub(crate) fn begin(&self, now: Instant) -> Turn {
        let live = self.is_live().then(|| self.live.clone());
        if let Some(activity) = &live {
            activity.running.fetch_add(1, Ordering::Relaxed);
        }
        Turn { began: now, live }
    }

    /// A transaction has ended: how long until the next.
    pub(crate) fn end(&self, turn: &Turn, now: Instant) -> Duration {
        if let Some(activity) = &turn.live {
            activity.last.store(activity.ms(now) + 1, Ordering::Relaxed);
            return Duration::ZERO;
        }
        match self.live.is_lately(now) {
            true => now.saturating_duration_since(turn.began),
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
        assert_eq!((live.at_once(4), beside.at_once(4)), (4, 1));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let rest = |tempo: &Tempo, from, to| tempo.end(&tempo.begin(at(from)), at(to)).as_millis();
        assert_eq!(rest(&beside, 0, 30), 0, "nothing was committed yet");
        let long = live.begin(at(1_000));
        assert_eq!(rest(&beside, 5_000, 5_030), 30, "it has not ended");
        assert_eq!(live.end(&long, at(10_000)), Duration::ZERO);
        drop(long);
        assert_eq!(rest(&beside, 10_100, 10_130), 30);
        assert_eq!(rest(&beside, 10_300, 10_330), 0);

        // A promote changes their places.
        live.set_live(false);
        beside.set_live(true);
        assert_eq!(rest(&beside, 20_000, 20_030), 0);
        assert_eq!(rest(&live, 20_100, 20_130), 30);
    }
}
