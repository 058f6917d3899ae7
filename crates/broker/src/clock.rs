//! The clocks, in one place, so that a simulation can turn them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The wall clock, in Kafka's milliseconds.
pub(crate) fn now_ms() -> i64 {
    #[cfg(test)]
    if let Some(at) = simulated::now() {
        return at.wall_ms;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// The clock that sessions and time-outs go by.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(at) = simulated::now() {
        return at.steady;
    }
    Instant::now()
}

/// One thread's own time, which stands still until it is turned.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Now {
        pub(crate) wall_ms: i64,
        pub(crate) steady: Instant,
    }

    thread_local! {
        static NOW: Cell<Option<Now>> = const { Cell::new(None) };
    }

    pub(crate) fn now() -> Option<Now> {
        NOW.get()
    }

    /// Ends with the guard.
    pub(crate) fn begin(wall_ms: i64) -> Simulated {
        let steady = Instant::now();
        NOW.set(Some(Now { wall_ms, steady }));
        Simulated(())
    }

    pub(crate) fn turn(ms: u64) {
        let now = NOW.get().expect("a simulated clock was begun");
        NOW.set(Some(Now {
            wall_ms: now.wall_ms + ms as i64,
            steady: now.steady + Duration::from_millis(ms),
        }));
    }

    #[derive(Debug)]
    pub(crate) struct Simulated(());

    impl Drop for Simulated {
        fn drop(&mut self) {
            NOW.set(None);
        }
    }
}
