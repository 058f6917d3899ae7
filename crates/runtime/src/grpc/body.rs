//! The answer's body: it learns the call's status from the trailers, and ends idle streams when the
//! server stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

use super::call::Call;

pin_project! {
    pub(super) struct CallBody {
        #[pin]
        inner: Body,
        #[pin]
        streams_end: WaitForCancellationFutureOwned,
        call: Call,
        ended: bool,
    }
}

impl CallBody {
    /// `code` is known already when the answer has no body (gRPC's "trailers only").
    pub(super) fn new(
        inner: Body,
        mut call: Call,
        code: Option<Code>,
        streams_end: CancellationToken,
    ) -> Self {
        if let Some(code) = code {
            call.code = code;
        }
        Self {
            inner,
            streams_end: streams_end.cancelled_owned(),
            call,
            ended: false,
        }
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let polled = {
            let _in_span = this.call.span().clone().entered();
            this.inner.as_mut().poll_frame(cx)
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    this.call.code = status.code();
                }
                polled
            }
            Poll::Ready(Some(Err(status))) => {
                this.call.code = status.code();
                polled
            }
            Poll::Ready(None) => polled,
            Poll::Pending => match this.streams_end.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => {
                    *this.ended = true;
                    this.call.code = Code::Unavailable;
                    Poll::Ready(Some(Ok(Frame::trailers(stopping()))))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn stopping() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A fixed text always fits a header.
    let _ = Status::unavailable("the server is stopping").add_header(&mut trailers);
    trailers
}
