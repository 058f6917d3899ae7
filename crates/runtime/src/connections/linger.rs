//! The close of a connection whose peer may still be sending.
//!
//! Closing a socket with unread bytes resets it, and a reset overtakes the answer: a sender that is
//! refused in the middle of a large body would see a broken pipe and not the 413. So the write half
//! is closed first, and what still comes is read and thrown away, for a while.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Below every server's usual drain, so that who lingers is not cut by a stop.
const LINGER_FOR: Duration = Duration::from_secs(5);
/// Sixteen of the largest bodies that are taken by default.
const LINGER_BYTES: usize = 64 << 20;

/// Whether the peer was refused before all that it announced was read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that hears its peer out when it is shut down [`Unread`].
#[derive(Debug)]
pub(super) struct Lingering {
    stream: TcpStream,
    unread: Unread,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Closing {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream, unread: Unread) -> Self {
        Self {
            stream,
            unread,
            closing: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, into)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if !this.unread.get() {
            return Poll::Ready(Ok(()));
        }
        let closing = this.closing.get_or_insert_with(|| Closing {
            until: Box::pin(sleep(LINGER_FOR)),
            bytes_left: LINGER_BYTES,
        });
        let mut nowhere = [MaybeUninit::uninit(); 16 << 10];
        while closing.bytes_left > 0 && closing.until.as_mut().poll(cx).is_pending() {
            let mut read = ReadBuf::uninit(&mut nowhere);
            // A peer that has hung up has heard all that it wanted to.
            if ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read)).is_err()
                || read.filled().is_empty()
            {
                break;
            }
            closing.bytes_left = closing.bytes_left.saturating_sub(read.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
