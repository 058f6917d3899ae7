//! Requests off the wire: a length, and so many bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Memory is taken as bytes arrive, in steps of this, and not because a length promises them.
const STEP: usize = 1 << 20;
/// Requests below this do not count towards the memory limit; connections bound them.
const SMALL: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct RequestFrame {
    pub(crate) bytes: Bytes,
    /// Given back when the request has been dealt with.
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// Why no request was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the peer closed")]
    Closed,
    #[error("nothing came for too long")]
    Idle,
    #[error("a request was begun and not finished")]
    Stalled,
    #[error("a request of {length} bytes is longer than {limit}{}", foreign(*.length))]
    TooLong { length: u32, limit: usize },
    #[error("a request of {length} bytes is too short to be one")]
    TooShort { length: u32 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Other protocols begin with letters or with TLS' handshake, which read as huge lengths.
fn foreign(length: u32) -> &'static str {
    match &length.to_be_bytes() {
        [0x16, 0x03, ..] => "; it looks like TLS, which this port does not speak",
        letters
            if letters
                .iter()
                .all(|byte| byte.is_ascii_graphic() || *byte == b' ') =>
        {
            "; it looks like text, perhaps HTTP"
        }
        _ => "",
    }
}

#[derive(Debug)]
pub(crate) struct FrameLimits {
    pub(crate) longest: usize,
    pub(crate) idle: Duration,
    pub(crate) stalled: Duration,
    pub(crate) memory: Arc<Semaphore>,
}

/// Reads one request.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    limits: &FrameLimits,
) -> Result<RequestFrame, FrameError> {
    let mut length = [0; 4];
    let first = timeout(limits.idle, from.read(&mut length))
        .await
        .map_err(|_| FrameError::Idle)??;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    let rest = from.read_exact(&mut length[first..]);
    timeout(limits.stalled, rest)
        .await
        .map_err(|_| FrameError::Stalled)?
        .map_err(closed)?;
    let length = u32::from_be_bytes(length);
    let size = length as usize;
    if size > limits.longest {
        return Err(FrameError::TooLong {
            length,
            limit: limits.longest,
        });
    }
    // The shortest header: key, version, correlation id.
    if size < 8 {
        return Err(FrameError::TooShort { length });
    }
    let memory = match size > SMALL {
        true => limits.memory.clone().acquire_many_owned(length).await.ok(),
        false => None,
    };
    let mut bytes = BytesMut::with_capacity(size.min(STEP));
    while bytes.len() < size {
        let missing = size - bytes.len();
        bytes.reserve(missing.min(STEP));
        let read = from
            .take(missing as u64)
            .read_buf_into(&mut bytes, limits.stalled)
            .await?;
        if read == 0 {
            return Err(FrameError::Closed);
        }
    }
    Ok(RequestFrame {
        bytes: bytes.freeze(),
        memory,
    })
}

fn closed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    }
}

/// A read that gives up on a peer that stalls.
trait ReadBufInto {
    async fn read_buf_into(
        self,
        into: &mut BytesMut,
        stalled: Duration,
    ) -> Result<usize, FrameError>;
}

impl<R: AsyncRead + Unpin> ReadBufInto for tokio::io::Take<R> {
    async fn read_buf_into(
        mut self,
        into: &mut BytesMut,
        stalled: Duration,
    ) -> Result<usize, FrameError> {
        let read = timeout(stalled, self.read_buf(into))
            .await
            .map_err(|_| FrameError::Stalled)?;
        Ok(read?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FrameLimits {
        FrameLimits {
            longest: 1 << 20,
            idle: Duration::from_secs(5),
            stalled: Duration::from_millis(50),
            memory: Arc::new(Semaphore::new(1 << 20)),
        }
    }

    #[tokio::test]
    async fn frames_follow_each_other_and_end() {
        let mut wire = &[&[0, 0, 0, 9][..], b"123456789", &[0, 0, 0, 8], b"abcdefgh"].concat()[..];
        assert_eq!(
            &read(&mut wire, &limits()).await.unwrap().bytes[..],
            b"123456789"
        );
        assert_eq!(
            &read(&mut wire, &limits()).await.unwrap().bytes[..],
            b"abcdefgh"
        );
        assert!(matches!(
            read(&mut wire, &limits()).await,
            Err(FrameError::Closed)
        ));
    }

    #[tokio::test]
    async fn what_is_not_kafka_is_named() {
        let http = read(&mut &b"GET / HTTP/1.1\r\n\r\n"[..], &limits())
            .await
            .unwrap_err();
        assert!(http.to_string().contains("perhaps HTTP"), "{http}");
        let tls = read(&mut &[0x16, 3, 1, 2, 0, 1][..], &limits())
            .await
            .unwrap_err();
        assert!(tls.to_string().contains("TLS"), "{tls}");
        let short = read(&mut &[0, 0, 0, 3, 1, 2, 3][..], &limits()).await;
        assert!(matches!(short, Err(FrameError::TooShort { length: 3 })));
    }

    #[tokio::test]
    async fn a_peer_that_stops_half_way_is_given_up() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut ours, &[0, 0, 0, 99, 1, 2])
            .await
            .unwrap();
        let mut theirs = theirs;
        assert!(matches!(
            read(&mut theirs, &limits()).await,
            Err(FrameError::Stalled)
        ));
        drop(ours);
    }
}
