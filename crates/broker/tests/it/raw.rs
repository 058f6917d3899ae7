//! Bytes that no decent client sends, and some that only old or new ones send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::{send, start, start_with};

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// A request with the old header: key, version, correlation id, no client.
pub(crate) fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(((body.len() + 10) as u32).to_be_bytes());
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(7i32.to_be_bytes());
    bytes.extend((-1i16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The next answer behind its length and correlation id; `None` when the broker closed.
pub(crate) fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ) =>
        {
            return None;
        }
        Err(error) => panic!("neither an answer nor an end: {error}"),
    }
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[..4], 7i32.to_be_bytes());
    Some(bytes.split_off(4))
}

fn ask(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    answer(&mut stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_closes_its_connection_and_disturbs_nobody() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let producer = street.producer();
    let address = street.broker.local_addr();
    let asked = tokio::task::spawn_blocking(move || {
        let huge_array = request(3, 1, &[0x7f, 0xff, 0xff, 0xff, 0, 1, b'x']);
        let huge_string = request(3, 1, &[0, 0, 0, 1, 0x7f, 0xff, b'x']);
        let cases: [(&str, Vec<u8>); 11] = [
            ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            ("TLS", vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
            (
                "random bytes",
                (0..200u8).map(|i| i.wrapping_mul(151) ^ 0x5a).collect(),
            ),
            ("a length below zero", vec![0xff; 12]),
            (
                "one byte too long",
                (100 * 1024 * 1024 + 1u32).to_be_bytes().to_vec(),
            ),
            ("a length of nothing", vec![0, 0, 0, 0, 0, 0, 0, 0]),
            ("an unknown request", request(999, 0, &[])),
            ("an unknown version", request(3, 99, &[])),
            ("an array of two billion", huge_array),
            ("a string of thirty thousand", huge_string),
            ("a body cut short", request(1, 4, &[0, 0])),
        ];
        for (what, bytes) in cases {
            assert_eq!(ask(address, &bytes), None, "{what}");
        }
        // Half a request, then silence, then the end.
        let mut half = connect(address);
        half.write_all(&request(3, 1, &[0; 100])[..50]).unwrap();
    });
    asked.await.unwrap();
    assert_eq!(send(&producer, "t", 0, "k", "v").await.1, 0);
    assert!(street.broker.monitor().stats().requests_refused >= 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_never_stop_the_broker() {
    let street = start().await;
    let address = street.broker.local_addr();
    let fuzzed = tokio::task::spawn_blocking(move || {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..3_000 {
            let key = (random() % 80) as i16;
            let version = (random() % 14) as i16;
            let body: Vec<u8> = (0..random() % 60)
                .map(|_| {
                    if random() % 3 == 0 {
                        0
                    } else {
                        (random() >> 16) as u8
                    }
                })
                .collect();
            let mut stream = connect(address);
            let _ = stream.write_all(&request(key, version, &body));
        }
    });
    fuzzed.await.unwrap();
    street.topic("alive", 1, &[]).await;
    assert_eq!(send(&street.producer(), "alive", 0, "k", "v").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_new_question_for_versions_is_answered_in_the_oldest_form() {
    let street = start().await;
    let address = street.broker.local_addr();
    let body = tokio::task::spawn_blocking(move || ask(address, &request(18, 9, &[])))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(body[..2], 35i16.to_be_bytes());
    let count = i32::from_be_bytes(body[2..6].try_into().unwrap());
    assert!(count > 20);
    assert_eq!(body.len(), 6 + count as usize * 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_batch_is_refused_and_not_stored() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    let errors = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let mut codes = Vec::new();
        for damage in [None, Some(80), Some(16), Some(60)] {
            let mut records = batch();
            if let Some(at) = damage {
                records[at] ^= 1;
            }
            stream
                .write_all(&request(0, 3, &produce("t", 0, &records)))
                .unwrap();
            let body = answer(&mut stream).unwrap();
            // One topic "t", one partition: its error follows.
            codes.push(i16::from_be_bytes(body[15..17].try_into().unwrap()));
        }
        stream
            .write_all(&request(0, 3, &produce("t", 9, &batch())))
            .unwrap();
        codes.push(i16::from_be_bytes(
            answer(&mut stream).unwrap()[15..17].try_into().unwrap(),
        ));
        codes
    });
    assert_eq!(errors.await.unwrap(), [0, 2, 43, 2, 3]);
    let stats = street.broker.monitor().stats();
    assert_eq!(stats.topics[0].partitions[0].high_watermark, 1);
}

/// The body of a produce request, version 3, acks all.
pub(crate) fn produce(topic: &str, partition: i32, records: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((-1i16).to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    body.extend(5_000i32.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend((topic.len() as i16).to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend((records.len() as i32).to_be_bytes());
    body.extend(records);
    body
}

/// One record batch of one record, made by hand.
pub(crate) fn batch() -> Vec<u8> {
    let record = [&[0u8, 0, 0, 2, b'k', 40][..], &[b'v'; 20], &[0]].concat();
    let mut batch = vec![0; 61];
    batch.push((record.len() * 2) as u8);
    batch.extend(record);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    batch[27..35].copy_from_slice(&1_000i64.to_be_bytes());
    batch[35..43].copy_from_slice(&1_000i64.to_be_bytes());
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&1i32.to_be_bytes());
    let sum = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
    batch
}

/// Castagnoli's sum, bit by bit: an independent opinion.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32| {
        if sum & 1 == 1 {
            (sum >> 1) ^ 0x82f6_3b78
        } else {
            sum >> 1
        }
    };
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_the_others_live() {
    let street = start_with(|config| config.limits.connections = 3).await;
    let address = street.broker.local_addr();
    let versions = request(18, 0, &[]);
    tokio::task::spawn_blocking(move || {
        let mut open: Vec<_> = (0..3).map(|_| connect(address)).collect();
        for stream in &mut open {
            stream.write_all(&versions).unwrap();
            assert!(answer(stream).is_some());
        }
        let mut extra = connect(address);
        let _ = extra.write_all(&versions);
        assert_eq!(answer(&mut extra), None);
        open[0].write_all(&versions).unwrap();
        assert!(answer(&mut open[0]).is_some());
    })
    .await
    .unwrap();
    assert_eq!(street.broker.monitor().stats().connections_refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_stalled_peers_are_closed() {
    let street = start_with(|config| {
        config.limits.idle = Duration::from_millis(200);
        config.limits.stalled = Duration::from_millis(200);
    })
    .await;
    let address = street.broker.local_addr();
    tokio::task::spawn_blocking(move || {
        assert_eq!(answer(&mut connect(address)), None, "idle");
        assert_eq!(
            ask(address, &request(3, 1, &[0; 40])[..20]),
            None,
            "stalled"
        );
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_are_answered_in_order() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    let offsets = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let all: Vec<u8> = (0..100)
            .flat_map(|_| request(0, 3, &produce("t", 0, &batch())))
            .collect();
        stream.write_all(&all).unwrap();
        let mut offsets = Vec::new();
        for _ in 0..100 {
            let body = answer(&mut stream).unwrap();
            offsets.push(i64::from_be_bytes(body[17..25].try_into().unwrap()));
        }
        offsets
    });
    assert_eq!(offsets.await.unwrap(), (0..100).collect::<Vec<_>>());
}
