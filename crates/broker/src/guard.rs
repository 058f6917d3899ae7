//! The guards that keep the promises. In tests each can be taken away, and the simulation must
//! then find what it is for; elsewhere they all hold.

/// What is lost without it stands beside each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing above the synced end is shown: else a reader sees what a power loss takes back.
    SyncedHighWatermark,
    /// A duplicate is acknowledged after the sync of its first: else what it repeats may be lost.
    DuplicateWaits,
    /// Nothing goes on after a failed sync: the next one succeeds and mends nothing.
    FailedSyncIsFatal,
    /// Producer ids are durable before they are used: else one is given twice.
    IdsDurableFirst,
    /// Nothing before the sync mark is cut: it was acknowledged.
    CutBehindMark,
    /// Nothing is cut that sound batches follow: a torn write has nothing behind it.
    SoundBatchesFollow,
    /// A new start is durable before files go: else deleted records return.
    StartDurableFirst,
    /// What compaction wrote is durable under its name before old segments go: else both are lost.
    SwapDurableFirst,
    /// What a deleted topic's groups committed is gone, durably, from the log of offsets that takes
    /// the place of the present one as well, before there is another topic of that name: else that
    /// one has it.
    ClearedInBoth,
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn holds(_: Guard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use tests::{holds, without};

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        static REMOVED: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    pub(crate) fn holds(guard: Guard) -> bool {
        REMOVED.get() != Some(guard)
    }

    /// Does something on this thread as if a guard were not there.
    pub(crate) fn without<T>(guard: Option<Guard>, work: impl FnOnce() -> T) -> T {
        REMOVED.set(guard);
        let done = work();
        REMOVED.set(None);
        done
    }
}
