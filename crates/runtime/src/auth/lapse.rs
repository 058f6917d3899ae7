//! The end of a call whose key is taken away while it is being answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;

use super::{AuthError, Authenticate};

/// How often the key of a call that goes on is asked about again.
const RECHECK: Duration = Duration::from_millis(500);

/// Ready once the key no longer lets anyone in. While keys cannot be checked, those who are in stay
/// in.
pub(super) fn lapse(keys: Arc<dyn Authenticate>, bearer: String) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            tokio::time::sleep(RECHECK).await;
            match keys.authenticate(&bearer).await {
                Err(AuthError::Invalid | AuthError::Missing) => return,
                Ok(_) | Err(AuthError::Unavailable) => {}
            }
        }
    })
}

/// What is said to whoever was let in and is not any more.
pub(super) fn lapsed() -> Status {
    Status::unauthenticated("the key is not valid any more")
}

pin_project! {
    /// An answer that ends with its key, however much it has still to say.
    pub(super) struct KeyedBody {
        #[pin]
        inner: Body,
        lapse: BoxFuture<'static, ()>,
        ended: bool,
    }
}

impl KeyedBody {
    pub(super) fn new(inner: Body, lapse: BoxFuture<'static, ()>) -> Self {
        Self {
            inner,
            lapse,
            ended: false,
        }
    }
}

impl http_body::Body for KeyedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        // First, for a stream that always has something would else never look.
        if this.lapse.as_mut().poll(cx).is_pending() {
            return this.inner.poll_frame(cx);
        }
        *this.ended = true;
        let mut trailers = HeaderMap::new();
        // A fixed text always fits a header.
        let _ = lapsed().add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::auth::{Principal, Role};

    struct Answers(Mutex<Vec<Result<(), AuthError>>>);

    impl Answers {
        fn of(answers: Vec<Result<(), AuthError>>) -> Arc<dyn Authenticate> {
            Arc::new(Self(Mutex::new(answers)))
        }
    }

    #[async_trait]
    impl Authenticate for Answers {
        async fn authenticate(&self, _bearer: &str) -> Result<Principal, AuthError> {
            let answer = self.0.lock().unwrap().remove(0);
            answer.map(|()| Principal {
                tenant: None,
                subject: String::new(),
                role: Role::Standard,
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_outlives_an_outage_of_the_keys_and_not_its_key() {
        let answers = vec![Err(AuthError::Unavailable), Ok(()), Err(AuthError::Invalid)];
        let began = Instant::now();
        lapse(Answers::of(answers), String::new()).await;
        let took = began.elapsed();
        assert!(took >= RECHECK * 3 && took < RECHECK * 4, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_always_has_something_to_say_ends_with_its_key() {
        let frames = std::iter::repeat_with(|| Frame::data(Bytes::from_static(b"more")));
        let endless = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
        let lapse = lapse(Answers::of(vec![Err(AuthError::Invalid)]), String::new());
        let mut body = KeyedBody::new(Body::new(endless), lapse);
        for _ in 0..10 {
            assert!(body.frame().await.unwrap().unwrap().is_data());
        }
        // Timers count whole milliseconds.
        advance(RECHECK + Duration::from_millis(1)).await;
        let last = body.frame().await.unwrap().unwrap();
        let trailers = last.into_trailers().expect("its key is not valid any more");
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        assert!(body.frame().await.is_none());
    }
}
