//! One connection: requests are begun in the order they come and answered in that order.
//!
//! A request changes what it changes when it is begun; its answer may take longer (a sync, a long
//! poll, a rebalance) and is worked out when its turn to be written has come. So a producer's
//! next batches are appended while the sync of the first one runs, and a slow reader holds no
//! more than one answer.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::frame::{self, FrameError, FrameLimits, Pace};
use super::{Server, told};
use crate::api;

/// How long a peer that stopped sending is still answered, and one that was told all is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// An answer, length and all.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: BytesMut,
    /// Given back when the answer has been written.
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Frame> + Send>>;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
}

pub(crate) async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    peer: Peer,
    stop: watch::Receiver<bool>,
) {
    // Answers are written whole, so there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let (mut read, write) = stream.into_split();
    let (answers, queue) = mpsc::channel(server.config.limits.pipelined_requests);
    let mut writer = std::pin::pin!(write_answers(&server, write, queue));
    tokio::select! {
        // The reader has dropped its end, so the writer ends when all is answered.
        ended = read_requests(&server, &mut read, answers, peer, stop) => match ended {
            Ended::ByPeer => drop(timeout(FAREWELL, writer).await),
            // Who stops the broker bounds it.
            Ended::ByStop => {
                writer.await;
                let _ = timeout(FAREWELL, pass_over(&mut read)).await;
            }
        },
        () = &mut writer => {}
    }
}

/// Why no further request is read.
enum Ended {
    ByPeer,
    ByStop,
}

async fn read_requests(
    server: &Arc<Server>,
    from: &mut OwnedReadHalf,
    answers: mpsc::Sender<Answer>,
    peer: Peer,
    mut stop: watch::Receiver<bool>,
) -> Ended {
    let limits = &server.config.limits;
    let limits = FrameLimits {
        longest: limits.request_bytes,
        idle: limits.idle,
        pace: pace(server),
        memory: server.request_memory.clone(),
    };
    let refused = |reason: &dyn std::fmt::Display| {
        server.counters.requests_refused.fetch_add(1, Relaxed);
        tracing::warn!(peer = %peer.ip, %reason, "a connection is closed for what it sent");
        Ended::ByPeer
    };
    loop {
        // A stop comes between requests only: what was begun may have changed something, and its
        // answer has to find its way.
        let read = tokio::select! {
            biased;
            () = told(&mut stop) => return Ended::ByStop,
            read = frame::read(from, &limits) => read,
        };
        let request = match read {
            Ok(request) => request,
            Err(FrameError::Closed | FrameError::Io(_)) => return Ended::ByPeer,
            Err(FrameError::Idle) => {
                tracing::debug!(peer = %peer.ip, "an idle connection is closed");
                return Ended::ByPeer;
            }
            Err(reason) => return refused(&reason),
        };
        server.counters.requests.fetch_add(1, Relaxed);
        server
            .counters
            .bytes_in
            .fetch_add(request.bytes.len() as u64 + 4, Relaxed);
        match api::begin(server, peer, request).await {
            Ok(Some(answer)) => {
                if answers.send(answer).await.is_err() {
                    return Ended::ByPeer;
                }
            }
            Ok(None) => {}
            Err(reason) => return refused(&reason),
        }
    }
}

/// Takes what was sent and is not read any more, until the peer has seen that all is said: a
/// connection that is closed over it is reset, and answers that are on their way are lost.
async fn pass_over(from: &mut OwnedReadHalf) {
    let mut bytes = [0; 4 << 10];
    let mut passed = from.try_read(&mut bytes);
    while let Ok(1..) = passed {
        passed = from.read(&mut bytes).await;
    }
}

async fn write_answers(
    server: &Server,
    mut to: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Answer>,
) {
    while let Some(answer) = queue.recv().await {
        let frame = answer.await;
        if frame.bytes.is_empty() {
            return;
        }
        if let Err(error) = write(&mut to, &frame.bytes, pace(server)).await {
            if error.kind() == io::ErrorKind::TimedOut {
                tracing::warn!("a connection is closed because its peer does not read");
            }
            return;
        }
        server
            .counters
            .bytes_out
            .fetch_add(frame.bytes.len() as u64, Relaxed);
    }
}

fn pace(server: &Server) -> Pace {
    Pace {
        stalled: server.config.limits.stalled,
        bytes_per_second: server.config.limits.slowest_bytes_per_second,
    }
}

/// Writes all bytes to a peer that takes some of them every now and then, and all of them in time.
async fn write(to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], pace: Pace) -> io::Result<()> {
    let in_time = Instant::now() + pace.time_for(bytes.len());
    while !bytes.is_empty() {
        let until = in_time.min(Instant::now() + pace.stalled);
        let written = timeout_at(until, to.write(bytes))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    Ok(())
}
