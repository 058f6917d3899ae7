//! The layer in front of every method.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::lapse::{KeyedBody, lapse, lapsed};
use super::{AuthError, Authenticate};

/// What is answered without a key: balancers and tools have none.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// Names the caller of each request, or refuses it. The [`super::Principal`] is in the request's
/// extensions afterwards, and the key is no longer in its metadata.
///
/// A call lives no longer than its key: one that waits, and one that streams, is asked about again
/// every half second, and ends UNAUTHENTICATED.
#[derive(Clone)]
pub struct AuthLayer {
    keys: Arc<dyn Authenticate>,
}

impl AuthLayer {
    pub fn new(keys: Arc<dyn Authenticate>) -> Self {
        Self { keys }
    }
}

impl fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth {
            inner,
            keys: self.keys.clone(),
        }
    }
}

/// The service that [`AuthLayer`] makes.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    keys: Arc<dyn Authenticate>,
}

impl<S> fmt::Debug for Auth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl<S, Q> Service<Request<Q>> for Auth<S>
where
    S: Service<Request<Q>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    Q: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        // The one that `poll_ready` made ready is taken; its clone waits for the next request.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        if OPEN
            .iter()
            .any(|open| request.uri().path().starts_with(open))
        {
            return Box::pin(inner.call(request));
        }
        let keys = self.keys.clone();
        Box::pin(async move {
            let Some(bearer) = bearer(request.headers()).map(str::to_owned) else {
                return Ok(Status::from(AuthError::Missing).into_http());
            };
            let principal = match keys.authenticate(&bearer).await {
                Ok(principal) => principal,
                Err(error) => return Ok(Status::from(error).into_http()),
            };
            request.headers_mut().remove(header::AUTHORIZATION);
            request.headers_mut().remove("x-api-key");
            request.extensions_mut().insert(principal);

            let mut lapse = lapse(keys, bearer);
            tokio::select! {
                biased;
                answer = inner.call(request) => {
                    Ok(answer?.map(|body| Body::new(KeyedBody::new(body, lapse))))
                }
                () = &mut lapse => Ok(lapsed().into_http()),
            }
        })
    }
}

/// `authorization: Bearer …` first, then `x-api-key: …`; empty is missing.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token);
    authorization
        .or_else(|| headers.get("x-api-key")?.to_str().ok())
        .map(str::trim)
        .filter(|token| !token.is_empty())
}
