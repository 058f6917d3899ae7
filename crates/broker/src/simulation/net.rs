//! Between clients and server: whole requests in, answers out when they are there. No socket, no
//! runtime: what would wait is asked again after each step.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::about::About;
use crate::api;
use crate::file::sim::SimDisk;
use crate::server::frame::RequestFrame;
use crate::server::{Answer, Frame, Peer, Server};

/// A request as a client sends it.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) about: About,
    pub(super) bytes: Bytes,
}

impl Ask {
    pub(super) fn new<R: Request + Encodable>(about: About, body: &R, version: i16) -> Ask {
        let key = ApiKey::try_from(R::KEY).unwrap();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some("simulation".into()));
        let mut bytes = BytesMut::new();
        header
            .encode(&mut bytes, key.request_header_version(version))
            .unwrap();
        body.encode(&mut bytes, version).unwrap();
        Ask {
            about,
            bytes: bytes.freeze(),
        }
    }
}

/// Reads an answer behind its length.
pub(super) fn read<T: Decodable + HeaderVersion>(bytes: &mut Bytes, version: i16) -> T {
    ResponseHeader::decode(bytes, T::header_version(version)).unwrap();
    T::decode(bytes, version).unwrap()
}

/// What is under way. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Net(Arc<Mutex<Wires>>);

#[derive(Default)]
struct Wires {
    waiting: Vec<(About, Answer)>,
    answered: Vec<(About, Bytes)>,
}

impl Net {
    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap()
    }

    /// Begins a request, as a connection does that has read it.
    pub(super) fn send(&self, server: &Arc<Server>, ask: Ask) {
        let frame = RequestFrame {
            bytes: ask.bytes,
            memory: None,
        };
        let peer = Peer {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let begun = poll(pin!(api::begin(server, peer, frame)));
        let begun = begun.expect("nothing that begins a request waits for other requests");
        let answer = begun.unwrap_or_else(|error| panic!("{:?}: {error}", ask.about));
        let answer = answer.expect("nothing is asked that has no answer");
        self.wires().waiting.push((ask.about, answer));
    }

    /// Takes the answers that are there, unless whoever would give them is gone.
    pub(super) fn collect(&self, disk: &SimDisk) {
        let waiting = std::mem::take(&mut self.wires().waiting);
        for (about, mut answer) in waiting {
            match poll(answer.as_mut()) {
                None => self.wires().waiting.push((about, answer)),
                Some(frame) if !disk.has_stopped() => {
                    self.wires().answered.push((about, bytes(frame)));
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn take_answered(&self) -> Vec<(About, Bytes)> {
        std::mem::take(&mut self.wires().answered)
    }

    pub(super) fn is_waiting(&self, is_it: impl Fn(&About) -> bool) -> bool {
        self.wires().waiting.iter().any(|(about, _)| is_it(about))
    }

    /// Every connection is lost.
    pub(super) fn cut(&self) {
        let waiting = std::mem::take(&mut self.wires().waiting);
        drop(waiting);
    }
}

fn bytes(frame: Frame) -> Bytes {
    let mut bytes = frame.bytes.freeze();
    assert!(bytes.len() > 4, "an answer that cannot be written");
    bytes.split_off(4)
}

fn poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
