//! Moments at which a test lets the process die, and guards that a test takes away
//! to see that they are missed.
//!
//! Only with the feature `crash-points`, which tests alone switch on; without it a
//! point is nothing and every guard stands.
//!
//! | point | stands |
//! |---|---|
//! | `polled` | behind the read of a batch |
//! | `fenced` | behind the move of its checkpoints, in the transaction |
//! | `applying` | amid its events |
//! | `committing`, `committed` | before and behind the commit; an engine's outbox is in it |
//! | `told-some` | amid the appends of what an engine decided |
//! | `told` | behind the log's acknowledgement, before the outbox forgets |
//! | `promote-locked` | behind the locks on the live generation |
//! | `promoting`, `promoted` | before and behind the commit of the pointer |

/// `point` or `point:n`: where to die, the n-th time that it is passed.
pub const CRASH_AT: &str = "COMPLINE_CRASH_AT";

/// The [`Guard`] that does not stand.
pub const WITHOUT: &str = "COMPLINE_WITHOUT";

/// What protocol.md forbids to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A checkpoint moves only from where its owner left it.
    NextOffset,
    /// Marks and rows change in the transaction that moves the checkpoint.
    MarksWithCheckpoint,
    /// Rows change in the transaction that moves checkpoint and marks.
    RowsWithMarks,
    /// An output stays in the outbox until the log has acknowledged it.
    OutboxUntilTold,
}

impl Guard {
    pub const fn as_str(self) -> &'static str {
        match self {
            Guard::NextOffset => "next-offset",
            Guard::MarksWithCheckpoint => "marks-with-checkpoint",
            Guard::RowsWithMarks => "rows-with-marks",
            Guard::OutboxUntilTold => "outbox-until-told",
        }
    }
}

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &str) {}

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub const fn is_off(_guard: Guard) -> bool {
    false
}

#[cfg(feature = "crash-points")]
pub use armed::{is_off, point};

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::{CRASH_AT, Guard, WITHOUT};

    struct Armed {
        point: String,
        left: AtomicU32,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let told = std::env::var(CRASH_AT).ok()?;
        let (point, left) = told.split_once(':').unwrap_or((&told, "1"));
        Some(Armed {
            point: point.to_owned(),
            left: AtomicU32::new(left.parse().ok()?),
        })
    });

    static OFF: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(WITHOUT).ok());

    /// Dies here, if this is where a test wants it: as by SIGKILL, nothing is unwound
    /// and nobody is told.
    pub fn point(name: &str) {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.point == name) else {
            return;
        };
        if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }

    pub fn is_off(guard: Guard) -> bool {
        OFF.as_deref() == Some(guard.as_str())
    }
}
