//! A log line that anyone outside can cause, rationed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use time::OffsetDateTime;

const EVERY_SECONDS: i64 = 60;

/// Lets one a minute through, and counts what it holds back.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Unix seconds.
    next_at: AtomicI64,
    held_back: AtomicU64,
}

impl Throttle {
    /// How many were held back since the last one, when this one may pass.
    pub(crate) fn pass(&self, now: OffsetDateTime) -> Option<u64> {
        let now = now.unix_timestamp();
        let next_at = self.next_at.load(Ordering::Relaxed);
        let first = now >= next_at
            && self
                .next_at
                .compare_exchange(
                    next_at,
                    now + EVERY_SECONDS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if first {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_says_how_many_were_held_back() {
        let throttle = Throttle::default();
        let at =
            |seconds: i64| OffsetDateTime::from_unix_timestamp(1_703_500_800 + seconds).unwrap();
        assert_eq!(throttle.pass(at(0)), Some(0));
        assert_eq!(throttle.pass(at(0)), None);
        assert_eq!(throttle.pass(at(59)), None);
        assert_eq!(throttle.pass(at(60)), Some(2));
        assert_eq!(throttle.pass(at(61)), None);
    }
}
