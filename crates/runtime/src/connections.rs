//! The accept loop under both servers: bounded connections, time to say hello, and a drain that ends.

mod heard;
mod linger;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use metrics::{Gauge, counter, gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use self::heard::HeardBody;
use self::linger::{Lingering, Unread};
use crate::BoxError;
use crate::metric_definitions::{CONNECTIONS_OPEN, CONNECTIONS_REFUSED};

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A server that cannot accept (no descriptors left) tries again after this, not at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of one server.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Names the server in logs and metrics.
    pub(crate) server: String,
    /// More are closed as soon as they are accepted.
    pub(crate) max_connections: usize,
    /// From the connection, or from the last answer, to the end of a request's head.
    pub(crate) header_read_timeout: Duration,
    pub(crate) http2_only: bool,
    pub(crate) max_concurrent_streams: u32,
    /// How often an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
    pub(crate) keepalive: (Duration, Duration),
    /// From the stop to the abort of what still runs.
    pub(crate) drain: Duration,
}

/// Serves until `stop`, then lets requests finish for at most `drain`. The peer's address is in the
/// request extensions, as axum's `ConnectInfo<SocketAddr>`.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    bounds: Bounds,
    stop: CancellationToken,
) where
    S: Service<Request<HeardBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let server = Server {
        builder: builder(&bounds),
        hello_timeout: bounds.header_read_timeout,
        stop: stop.clone(),
        abort: CancellationToken::new(),
        open: gauge!(CONNECTIONS_OPEN, "server" => bounds.server.clone()),
    };
    let refused = counter!(CONNECTIONS_REFUSED, "server" => bounds.server.clone());
    let places = Arc::new(Semaphore::new(bounds.max_connections));
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(server = bounds.server, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            refused.increment(1);
            continue;
        };
        tracker.spawn(
            server
                .clone()
                .connection(stream, peer, service.clone(), place),
        );
    }
    // Closed first: a peer that comes now should go elsewhere, not wait in the backlog.
    drop(listener);
    tracker.close();
    if tokio::time::timeout(bounds.drain, tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            server = bounds.server,
            connections = tracker.len(),
            "connections did not drain in time and are cut"
        );
        server.abort.cancel();
        tracker.wait().await;
    }
}

#[derive(Clone)]
struct Server {
    builder: Builder<TokioExecutor>,
    hello_timeout: Duration,
    stop: CancellationToken,
    abort: CancellationToken,
    open: Gauge,
}

impl Server {
    async fn connection<S, B>(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        service: S,
        _place: OwnedSemaphorePermit,
    ) where
        S: Service<Request<HeardBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let greeted = tokio::select! {
            greeted = tokio::time::timeout(self.hello_timeout, greeted(&stream)) => greeted,
            () = self.stop.cancelled() => return,
        };
        if !matches!(greeted, Ok(true)) {
            return;
        }
        // Answers are small and waited for; an error here means that the peer has gone already.
        let _ = stream.set_nodelay(true);
        self.open.increment(1.0);
        let unread = Unread::default();
        let stream = Lingering::new(stream, unread.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let (head, body) = request.into_parts();
            let http1 = head.version < Version::HTTP_2;
            let (body, heard) = HeardBody::new(body);
            let request = Request::from_parts(head, body);
            let (answer, unread) = (service.clone().oneshot(request), unread.clone());
            async move {
                let mut answer = answer.await?;
                let refused = !heard.to_the_end() && !answer.status().is_success();
                unread.set(refused);
                if refused && http1 {
                    // It hangs up when it has heard this; kept, it would be heard out at a stop.
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.abort.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            // Peers vanish, time out and talk nonsense all day long.
            tracing::debug!(%peer, error, "a connection ended badly");
        }
        self.open.decrement(1.0);
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_read_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.max_concurrent_streams)
        .keep_alive_interval(bounds.keepalive.0)
        .keep_alive_timeout(bounds.keepalive.1);
    match bounds.http2_only {
        true => builder.http2_only(),
        false => builder,
    }
}

/// Waits until the peer has said enough to tell HTTP/2 from HTTP/1. Hyper's own time-outs begin
/// only after that, so a peer that says nothing, or half a preface, would keep its place for ever.
async fn greeted(stream: &TcpStream) -> bool {
    let mut first = [0; HTTP2_PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if n == first.len() || first[..n] != HTTP2_PREFACE[..n] => return true,
            // A part of the preface: `peek` answers at once from now on, so look again later.
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
