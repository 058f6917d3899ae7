//! When a loop over partitions is ready, and how it is afterwards.
//!
//! | | |
//! |---|---|
//! | until the oldest record that it has not applied is young enough | starting: readers would see the past |
//! | from then on, and a partition stands still | degraded, with the partition's reason |
//! | from then on, and it is too far behind | degraded: a burst must not shut the doors |
//! | else | ready |
//!
//! A partition that stands still is not waited for, since no waiting mends it. Who owns
//! nothing for longer than a group takes to share out has nothing to catch up with: the
//! others have it all.

use std::{convert::Infallible, time::Duration};

use compline_projector::{Behind, Status};
use compline_runtime::health::{Check, State};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::show;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A member that was killed is in its group until its session ends, 10 s; and some.
const STANDS_BY_AFTER: Duration = Duration::from_secs(20);

/// What a loop says of its partitions.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The first that stands still, and why.
    pub(super) stopped: Option<String>,
    /// `None` while it is not known.
    pub(super) behind: Option<Behind>,
    pub(super) owns_some: bool,
}

impl Look {
    pub(super) fn at(status: &Status) -> Self {
        Self {
            stopped: status.stopped(),
            behind: status.behind(),
            owns_some: !status.partitions().is_empty(),
        }
    }
}

/// Tells `check` how the loop is, until `stop`.
pub(super) async fn watch(
    look: impl Fn() -> Look,
    ready_lag: Duration,
    check: Check,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let began = Instant::now();
    let mut was_ready = false;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let state = judge(&look(), ready_lag, began.elapsed(), was_ready);
        was_ready = state.serves();
        check.is(state);
    }
}

fn judge(look: &Look, ready_lag: Duration, since_start: Duration, was_ready: bool) -> State {
    let stands_by = !look.owns_some && since_start > STANDS_BY_AFTER;
    let late = look.behind.filter(|behind| behind.oldest > ready_lag);
    let too_far = late.map(|behind| {
        format!(
            "{} events behind, the oldest for {}; ready at {}",
            show::count(behind.events),
            show::age(behind.oldest.as_secs_f64()),
            show::age(ready_lag.as_secs_f64())
        )
    });
    if !was_ready && !stands_by {
        if look.behind.is_none() {
            let reason = match look.owns_some {
                true => "its partitions are being claimed",
                false => "it has no partitions yet",
            };
            return waits(reason.to_owned());
        }
        if let Some(reason) = too_far {
            return waits(reason);
        }
    }
    match look.stopped.clone().or(too_far) {
        Some(reason) => State::Degraded { reason },
        None => State::Ready,
    }
}

fn waits(reason: String) -> State {
    State::Starting {
        reason: Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const SOON: Duration = Duration::from_secs(1);

    fn behind(seconds: u64) -> Look {
        Look {
            behind: Some(Behind {
                partitions: 1,
                events: 7,
                oldest: Duration::from_secs(seconds),
            }),
            owns_some: true,
            stopped: None,
        }
    }

    fn stopped() -> Look {
        let stopped = Some("ad/3: a hole".to_owned());
        Look {
            stopped,
            ..behind(0)
        }
    }

    #[test]
    fn who_is_behind_is_not_ready_until_it_has_caught_up_and_degraded_after() {
        let first = judge(&behind(31), LIMIT, SOON, false);
        assert!(!first.serves());
        let said = first.to_string();
        assert!(said.contains("7 events behind"), "{said}");
        assert_eq!(judge(&behind(30), LIMIT, SOON, false), State::Ready);
        let later = judge(&behind(31), LIMIT, SOON, true);
        assert!(matches!(later, State::Degraded { .. }), "{later}");
    }

    #[test]
    fn what_no_waiting_mends_is_not_waited_for() {
        let state = judge(&stopped(), LIMIT, SOON, false);
        assert!(state.serves(), "{state}");
        assert!(state.to_string().contains("a hole"), "{state}");
        let worse = Look {
            stopped: stopped().stopped,
            ..behind(31)
        };
        assert!(!judge(&worse, LIMIT, SOON, false).serves());
    }

    #[test]
    fn nobody_knows_is_not_ready_and_nothing_to_own_is() {
        let claiming = Look {
            owns_some: true,
            ..Look::default()
        };
        let long = STANDS_BY_AFTER * 100;
        assert!(!judge(&claiming, LIMIT, long, false).serves());
        assert!(!judge(&Look::default(), LIMIT, SOON, false).serves());
        assert_eq!(judge(&Look::default(), LIMIT, long, false), State::Ready);
    }
}
