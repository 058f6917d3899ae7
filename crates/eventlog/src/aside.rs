//! What is dropped by a thread of its own.
//!
//! librdkafka's clients block when they are dropped: a producer until its threads have
//! ended, a consumer until it has left its group, and that has no end while a commit of
//! it waits for a log that is away. So whoever drops one goes on at once, be it a
//! runtime's thread or a whole runtime at its own end.

use std::{
    ops::{Deref, DerefMut},
    thread,
};

pub(crate) struct Aside<T: Send + 'static>(Option<T>);

const THERE: &str = "taken only when dropped";

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self(Some(inner))
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(THERE)
    }
}

impl<T: Send + 'static> DerefMut for Aside<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(THERE)
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        // Where no thread is to be had, it is dropped here, with the closure.
        let _ = thread::Builder::new()
            .name("log-client-end".to_owned())
            .spawn(move || drop(inner));
    }
}
