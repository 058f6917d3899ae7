//! A request's body that tells whether its peer was heard to the end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// Whether all that a request announced was read. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    pub(super) fn to_the_end(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body as it comes from the peer.
#[derive(Debug)]
pub(crate) struct HeardBody {
    inner: Incoming,
    heard: Heard,
}

impl HeardBody {
    pub(super) fn new(inner: Incoming) -> (Self, Heard) {
        let heard = Heard(Arc::new(AtomicBool::new(inner.is_end_stream())));
        let body = Self {
            inner,
            heard: heard.clone(),
        };
        (body, heard)
    }
}

impl Body for HeardBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        // Of an announced length the last frame is the end, and nobody need ask for more.
        if frame.is_none() || self.inner.is_end_stream() {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
