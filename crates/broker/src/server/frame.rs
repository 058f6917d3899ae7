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
/// The beginning of a request, which does not count towards the memory limit; connections bound
/// it. Who promises more has to send this much before anything is set aside for it.
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
    #[error("the first {size} bytes of a request came too slowly")]
    Slow { size: usize },
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
    pub(crate) pace: Pace,
    pub(crate) memory: RequestMemory,
}

/// The least speed of a peer, after what it may stall.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) stalled: Duration,
    pub(crate) bytes_per_second: usize,
}

impl Pace {
    /// The time that so many bytes may take.
    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        self.stalled + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64)
    }
}

/// Bytes of requests that may still be read. Half of it is for ordinary ones, so that a few large
/// ones that come slowly hold up nobody but each other.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory {
    ordinary: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl RequestMemory {
    pub(crate) fn new(bytes: usize) -> RequestMemory {
        RequestMemory {
            ordinary: Arc::new(Semaphore::new(bytes / 2)),
            large: Arc::new(Semaphore::new(bytes - bytes / 2)),
        }
    }

    async fn take(&self, length: u32) -> Option<OwnedSemaphorePermit> {
        let pool = match length as usize > STEP {
            true => &self.large,
            false => &self.ordinary,
        };
        pool.clone().acquire_many_owned(length).await.ok()
    }
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
    timeout(limits.pace.stalled, rest)
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
    let mut bytes = BytesMut::with_capacity(size.min(SMALL));
    fill_in_time(from, &mut bytes, size.min(SMALL), limits).await?;
    let memory = match size > SMALL {
        true => limits.memory.take(length).await,
        false => None,
    };
    fill_in_time(from, &mut bytes, size, limits).await?;
    Ok(RequestFrame {
        bytes: bytes.freeze(),
        memory,
    })
}

async fn fill_in_time(
    from: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
    size: usize,
    limits: &FrameLimits,
) -> Result<(), FrameError> {
    let time = limits.pace.time_for(size - bytes.len());
    timeout(time, fill(from, bytes, size, limits))
        .await
        .map_err(|_| FrameError::Slow { size })?
}

/// Reads until there are `size` bytes, from a peer that sends some of them every now and then.
async fn fill(
    from: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
    size: usize,
    limits: &FrameLimits,
) -> Result<(), FrameError> {
    while bytes.len() < size {
        let missing = size - bytes.len();
        bytes.reserve(missing.min(STEP));
        let mut rest = (&mut *from).take(missing as u64);
        let read = timeout(limits.pace.stalled, rest.read_buf(bytes))
            .await
            .map_err(|_| FrameError::Stalled)??;
        if read == 0 {
            return Err(FrameError::Closed);
        }
    }
    Ok(())
}

fn closed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FrameLimits {
        FrameLimits {
            longest: 1 << 20,
            idle: Duration::from_secs(5),
            pace: Pace {
                stalled: Duration::from_millis(50),
                bytes_per_second: 1 << 20,
            },
            memory: RequestMemory::new(4 << 20),
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

    #[tokio::test]
    async fn a_peer_that_only_trickles_is_given_up() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let trickle = tokio::spawn(async move {
            let mut sent = 0;
            let mut wire: &[u8] = &(1u32 << 20).to_be_bytes();
            while tokio::io::AsyncWriteExt::write_all(&mut ours, wire)
                .await
                .is_ok()
            {
                sent += wire.len();
                wire = &[0; 40];
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sent
        });
        let given_up = read(&mut theirs, &limits()).await;
        assert!(matches!(given_up, Err(FrameError::Slow { size: SMALL })));
        drop(theirs);
        assert!(trickle.await.unwrap() < 1 << 17);
    }
}
