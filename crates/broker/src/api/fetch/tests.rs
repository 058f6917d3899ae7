use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;
use crate::BrokerConfig;
use crate::api::begin;
use crate::batch::{NewRecord, build, check};
use crate::broker::Stores;
use crate::file::sim::SimDisk;
use crate::server::Peer;
use crate::server::frame::RequestFrame;
use crate::topics::TopicName;
use crate::topics::config::TopicConfig;

/// A server whose only partition holds `batch`, with so much memory for fetches.
fn server(batch: &[u8], memory: usize) -> Arc<Server> {
    server_on(&SimDisk::default(), &[batch], memory)
}

fn server_on(disk: &SimDisk, batches: &[&[u8]], memory: usize) -> Arc<Server> {
    let mut config = BrokerConfig::new("data");
    config.sync_threads = 0;
    config.limits.fetch_memory_bytes = memory;
    let stores = Stores::open(&config, Arc::new(disk.clone())).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    let server = stores.serve(config, address).unwrap();
    let name = TopicName::parse("t").unwrap();
    let topic = server
        .topics
        .create(name, 1, TopicConfig::default(), 0, |_| Ok(()))
        .unwrap();
    for batch in batches {
        let header = check(batch, 1 << 20, false).unwrap();
        topic.partitions[0]
            .append(batch, header, &topic.log_settings, 0)
            .unwrap();
    }
    topic.partitions[0].sync().unwrap();
    Arc::new(server)
}

/// A fetch of the partition that asks for a single byte.
fn ask(server: &Arc<Server>) -> Answer {
    ask_from(server, 0, 1)
}

fn ask_from(server: &Arc<Server>, offset: i64, max_bytes: i32) -> Answer {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(max_bytes);
    let topic = FetchTopic::default()
        .with_topic(kafka_protocol::messages::TopicName(
            StrBytes::from_static_str("t"),
        ))
        .with_partitions(vec![partition]);
    let ask = FetchRequest::default()
        .with_max_bytes(max_bytes)
        .with_topics(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Fetch as i16)
        .with_request_api_version(4);
    let mut bytes = BytesMut::new();
    header.encode(&mut bytes, 1).unwrap();
    ask.encode(&mut bytes, 4).unwrap();
    let frame = RequestFrame {
        bytes: bytes.freeze(),
        memory: None,
    };
    let peer = Peer {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let begun = poll(pin!(begin(server, peer, frame)).as_mut());
    begun.unwrap().unwrap().unwrap()
}

fn poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[test]
fn an_answer_waits_until_there_is_memory_for_all_of_it() {
    let value = [b'x'; 1000];
    let record = NewRecord {
        key: b"k",
        value: Some(&value),
    };
    let batch = build(&[record], 0);
    // A batch is given whole, though nobody asked for as much; even one that is larger than all
    // the memory there is, alone.
    for (memory, at_once) in [(2 * batch.len() + 1, 2), (batch.len() / 2, 1)] {
        let server = server(&batch, memory);
        let mut held: Vec<_> = (0..at_once)
            .map(|_| poll(ask(&server).as_mut()).expect("there is memory"))
            .collect();
        let mut one_more = ask(&server);
        assert!(poll(one_more.as_mut()).is_none(), "{memory} bytes are held");
        held.pop();
        let answer = poll(one_more.as_mut()).expect("there is memory again");
        assert!(answer.bytes.ends_with(&batch[HEADER_KEPT..]));
    }
}

/// What the broker writes anew at the beginning of a batch.
const HEADER_KEPT: usize = 16;

#[test]
fn what_is_sound_before_a_rotten_header_is_given_and_then_the_error() {
    let record = NewRecord {
        key: b"k",
        value: Some(b"v"),
    };
    let batch = build(&[record], 0);
    let disk = SimDisk::default();
    let server = server_on(&disk, &[&batch[..]; 4], 1 << 20);
    let topic = server.topics.find("t").unwrap();
    let segment = crate::log::segment_path(&topic.partitions[0].folder(), 0);
    // The third batch says that it is the eighth.
    disk.damage(&segment, |bytes| bytes[2 * batch.len() + 7] ^= 5);
    let _clock = crate::clock::simulated::begin(0);
    let answers = [(0, 0, 2 * batch.len()), (1, 0, batch.len()), (2, 2, 0)];
    for (offset, error, size) in answers {
        let answer = poll(ask_from(&server, offset, 1 << 20).as_mut()).unwrap();
        let mut bytes = answer.bytes.clone().freeze();
        let _ = bytes.split_to(bytes.len() - BEFORE_RECORDS - size);
        assert_eq!(bytes[..2], i16::to_be_bytes(error), "from {offset}");
        assert_eq!(
            bytes[BEFORE_RECORDS - 4..][..4],
            (size as i32).to_be_bytes()
        );
    }
}

/// Of a partition in version 4: error, high watermark, stable offset, no aborted transactions,
/// and how many bytes of records follow.
const BEFORE_RECORDS: usize = 2 + 8 + 8 + 4 + 4;
