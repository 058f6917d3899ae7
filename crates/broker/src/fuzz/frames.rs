//! Requests of every call in every version, made from the shapes that calls have.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Encodable;
use rand::Rng;
use rand::rngs::StdRng;

use super::{fuzz, mutate, within};
use crate::api::{self, Supported};
use crate::batch::{self, NewRecord};
use crate::clock::simulated;
use crate::file::sim::SimDisk;
use crate::server::frame::RequestFrame;
use crate::server::{Peer, Server};

/// What one request may hold, apart from what its bytes ask for: a topic more, an answer.
const MOST_BYTES: usize = 16 << 20;
const WORDS: [&str; 14] = [
    "orders",
    "clicks",
    "group",
    "range",
    "consumer",
    "",
    "..",
    "a/b",
    "cleanup.policy",
    "compact",
    "segment.bytes",
    "14",
    "-1",
    "9223372036854775807",
];

/// Writes what has a shape; see `api/shape.rs` for what the signs stand for.
struct Writer<'a> {
    bytes: Vec<u8>,
    version: i16,
    flexible: bool,
    /// A large number that makes sense: a session's milliseconds, not so many partitions.
    most: i64,
    rng: &'a mut StdRng,
}

impl Writer<'_> {
    fn structure(&mut self, shape: &[u8]) {
        self.fields(shape);
        if self.flexible {
            self.bytes.push(0);
        }
    }

    fn fields(&mut self, mut shape: &[u8]) {
        while let Some((sign, after)) = shape.split_first() {
            shape = after;
            match sign {
                b'b' => self.number(1),
                b'h' => self.number(2),
                b'i' => self.number(4),
                b'l' => self.number(8),
                b'u' => self.bytes.extend(self.rng.random::<[u8; 16]>()),
                b's' => self.text(),
                b'S' if self.rng.random() => self.null_text(),
                b'S' => self.text(),
                b'B' => self.batch(),
                _ => {
                    let inner = &shape[..api::closing(shape)];
                    shape = &shape[inner.len() + 1..];
                    if *sign == b'(' {
                        let (when, inner) = api::split_condition(inner);
                        if when.contains(&self.version) {
                            self.fields(inner);
                        }
                        continue;
                    }
                    let count = self.rng.random_range(0..3);
                    self.length(count, 4);
                    for _ in 0..count {
                        match sign {
                            b'[' => self.fields(inner),
                            _ => self.structure(inner),
                        }
                    }
                }
            }
        }
    }

    fn number(&mut self, size: usize) {
        let number: i64 = match self.rng.random_range(0..8) {
            0 => -1,
            1 => -2,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => self.most,
            _ => self.rng.random_range(0..3),
        };
        self.bytes.extend(&number.to_be_bytes()[8 - size..]);
    }

    fn length(&mut self, length: usize, size: usize) {
        if !self.flexible {
            self.bytes
                .extend(&(length as u64).to_be_bytes()[8 - size..]);
            return;
        }
        let mut left = length + 1;
        while left >= 0x80 {
            self.bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.bytes.push(left as u8);
    }

    fn text(&mut self) {
        let word = WORDS[self.rng.random_range(0..WORDS.len())];
        self.length(word.len(), 2);
        self.bytes.extend(word.as_bytes());
    }

    fn null_text(&mut self) {
        if self.flexible {
            self.bytes.push(0);
        } else {
            self.bytes.extend([0xff; 2]);
        }
    }

    fn batch(&mut self) {
        let record = NewRecord {
            key: b"key",
            value: Some(b"value"),
        };
        let batch = batch::build(&[record], 1_000);
        self.length(batch.len(), 4);
        self.bytes.extend(batch);
    }
}

fn draw(call: &Supported, rng: &mut StdRng) -> Bytes {
    let version = rng.random_range(call.oldest..=call.newest);
    let header_version = call.key.request_header_version(version);
    let header = RequestHeader::default()
        .with_request_api_key(call.key as i16)
        .with_request_api_version(version);
    let mut bytes = BytesMut::new();
    header.encode(&mut bytes, header_version).unwrap();
    let makes_partitions = matches!(call.key, ApiKey::CreateTopics | ApiKey::CreatePartitions);
    let mut writer = Writer {
        bytes: bytes.to_vec(),
        version,
        flexible: header_version >= 2,
        most: if makes_partitions { 20 } else { 6_000 },
        rng,
    };
    writer.structure(call.shape.as_bytes());
    writer.bytes.into()
}

/// Begins a request, and looks once for its answer.
fn ask(server: &Arc<Server>, bytes: Bytes) -> bool {
    let frame = RequestFrame {
        bytes,
        memory: None,
    };
    let peer = Peer {
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    let mut context = Context::from_waker(Waker::noop());
    let begun = pin!(api::begin(server, peer, frame)).poll(&mut context);
    match begun {
        Poll::Ready(Ok(Some(mut answer))) => {
            let _ = answer.as_mut().poll(&mut context);
            true
        }
        Poll::Ready(Ok(None)) | Poll::Pending => true,
        Poll::Ready(Err(_)) => false,
    }
}

#[test]
fn frames() {
    // Long polls look at its clock; nothing waits for it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let _clock = simulated::begin(1_000_000_000_000);
    fuzz("frames", |rng| {
        let server = super::folders::open(&SimDisk::default()).unwrap();
        let server = Arc::new(server);
        for _ in 0..rng.random_range(1..12) {
            let call = &api::SUPPORTED[rng.random_range(0..api::SUPPORTED.len())];
            let mut bytes = draw(call, rng).to_vec();
            let is_valid = rng.random_ratio(1, 3);
            if !is_valid {
                mutate(&mut bytes, rng);
            }
            let taken = within(MOST_BYTES, || ask(&server, bytes.into()));
            // Records that want no acknowledgement are refused by closing.
            let may_refuse = call.shape.contains('B');
            assert!(
                taken || !is_valid || may_refuse,
                "{:?} was refused",
                call.key
            );
            server.syncer.turn();
        }
    });
}
