//! Keeps what changes files out of a log that is being closed, and closing out of such work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{RwLock, RwLockReadGuard};

#[derive(Debug, Default)]
pub(crate) struct Door {
    closing: AtomicBool,
    /// Held by each who is inside.
    inside: RwLock<()>,
}

impl Door {
    /// `None` when the log is being closed or is closed.
    pub(crate) fn enter(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let inside = self.inside.read().expect("nobody panics inside");
        (!self.is_closing()).then_some(inside)
    }

    /// Whether those who are inside should hurry out.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Returns when nobody is inside, and lets nobody in again.
    pub(crate) fn close(&self) {
        self.begin_closing();
        drop(self.inside.write().expect("nobody panics inside"));
    }
}
