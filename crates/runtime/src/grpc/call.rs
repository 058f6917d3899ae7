//! Around each call: its span, its metrics, its deadline, and the net under a panic.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field};

use super::body::CallBody;
use super::deadline;
use super::methods::{Method, Methods, code_name};
use crate::tasks::panic_message;
use crate::telemetry::trace_context::{TRACEPARENT, set_parent};

#[derive(Debug, Clone)]
pub(super) struct CallLayer {
    methods: Methods,
    streams_end: CancellationToken,
}

impl CallLayer {
    pub(super) fn new(methods: Methods, streams_end: CancellationToken) -> Self {
        Self {
            methods,
            streams_end,
        }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S, Q> Service<Request<Q>> for CallService<S>
where
    S: Service<Request<Q>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    Q: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let call = Call::new(&self.layer.methods, &request);
        let streams_end = self.layer.streams_end.clone();
        let deadline = deadline::of(request.headers());
        let span = call.span.clone();
        Box::pin(async move {
            // `call` is moved into the future's own `async`, so that its panic is caught too.
            let answer = AssertUnwindSafe(async move { inner.call(request).await })
                .catch_unwind()
                .instrument(span);
            let response = match within(deadline, answer).await {
                Some(Ok(Ok(response))) => response,
                Some(Ok(Err(never))) => match never {},
                Some(Err(panic)) => {
                    let message = panic_message(panic.as_ref());
                    let (service, method) = (&call.method.service, &call.method.method);
                    tracing::error!(parent: &call.span, service, method, panic = message, "a method panicked");
                    Status::internal("internal error").into_http()
                }
                None => Status::deadline_exceeded("the caller's deadline has passed").into_http(),
            };
            let status = Status::from_header_map(response.headers());
            Ok(response.map(|body| {
                Body::new(CallBody::new(
                    body,
                    call,
                    status.map(|s| s.code()),
                    streams_end,
                ))
            }))
        })
    }
}

async fn within<F: Future>(deadline: Option<Duration>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// One call being answered; it is counted when it is dropped, however it ended.
#[derive(Debug)]
pub(super) struct Call {
    method: std::sync::Arc<Method>,
    span: Span,
    started: Instant,
    /// What the peer was told. Nothing yet means that it left before the end.
    pub(super) code: tonic::Code,
}

impl Call {
    fn new<Q>(methods: &Methods, request: &Request<Q>) -> Self {
        let method = methods.get(request.uri().path());
        let span = tracing::info_span!(
            "grpc",
            otel.name = format!("{}/{}", method.service, method.method),
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.service = method.service,
            rpc.method = method.method,
            rpc.grpc.status = field::Empty,
        );
        if let Some(parent) = request
            .headers()
            .get(TRACEPARENT)
            .and_then(|v| v.to_str().ok())
        {
            set_parent(&span, parent);
        }
        method.in_flight.increment(1.0);
        Self {
            method,
            span,
            started: Instant::now(),
            code: tonic::Code::Cancelled,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.span.record("rpc.grpc.status", code_name(self.code));
        self.method.in_flight.decrement(1.0);
        self.method.finished(self.code, self.started.elapsed());
    }
}
