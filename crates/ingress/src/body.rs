//! Reading a body whose sender is not known yet, within bounds that all bodies share.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::timeout::TimeoutError;

/// The memory that bodies may take together. Taken as bytes arrive, not as they are announced, or
/// a few senders that announce much and send nothing would keep everyone out.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Semaphore>);

/// A body as it came, and its place in the memory.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    BrokenOff,
    NoMemory,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    pub(crate) async fn read(&self, mut body: Body) -> Result<Held, Unread> {
        let mut place: Option<OwnedSemaphorePermit> = None;
        let mut first = Bytes::new();
        // Only a body of several pieces is copied together; most arrive in one.
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| cause(&error))?.into_data() else {
                continue;
            };
            let more = self.take(data.len()).ok_or(Unread::NoMemory)?;
            match &mut place {
                Some(place) => place.merge(more),
                None => place = Some(more),
            }
            if first.is_empty() {
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() {
            first
        } else {
            whole.freeze()
        };
        Ok(Held {
            bytes,
            _place: place,
        })
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        self.0.clone().try_acquire_many_owned(bytes).ok()
    }
}

/// The server's limits wrap their errors in one another, so the cause is looked for all the way
/// down.
fn cause(error: &(dyn Error + 'static)) -> Unread {
    let mut link = Some(error);
    while let Some(error) = link {
        if error.is::<LengthLimitError>() {
            return Unread::TooLarge;
        }
        if error.is::<TimeoutError>() {
            return Unread::TooSlow;
        }
        link = error.source();
    }
    Unread::BrokenOff
}
