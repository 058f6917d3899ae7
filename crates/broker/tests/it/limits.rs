//! What one client may take, and that the others do not notice.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use crate::client::{Street, WAIT, send, start, start_with};
use crate::raw::{answer, batch, connect, crc32c, produce, request};

/// A fetch of one partition of one topic, version 4.
pub(crate) fn fetch(topic: &str, offset: i64, max_wait_ms: i32, min_bytes: i32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((-1i32).to_be_bytes());
    body.extend(max_wait_ms.to_be_bytes());
    body.extend(min_bytes.to_be_bytes());
    body.extend((50i32 << 20).to_be_bytes());
    body.push(0);
    body.extend(1i32.to_be_bytes());
    body.extend((topic.len() as i16).to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend((50i32 << 20).to_be_bytes());
    request(1, 4, &body)
}

/// How many bytes of records such a fetch was answered with.
fn fetched(body: &[u8]) -> usize {
    // Throttle time, one topic with its name, one partition with number, error, two offsets, no
    // transactions; then the records' length.
    let name = usize::from(u16::from_be_bytes([body[8], body[9]]));
    let at = 10 + name + 4 + 4 + 2 + 8 + 8 + 4;
    u32::from_be_bytes(body[at..at + 4].try_into().unwrap()) as usize
}

/// Waits until so few connections are left.
fn until_connections(street: &Street, left: u64) {
    let until = Instant::now() + WAIT;
    while street.broker.monitor().stats().connections > left {
        assert!(Instant::now() < until, "the slow ones are not closed");
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections() {
    let street = start_with(|config| config.limits.connections_per_address = 2).await;
    let address = street.broker.local_addr();
    let from = |ip: Ipv4Addr| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((ip, 0))).unwrap();
        let stream = socket.connect(address).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream
    };
    let lives = |mut stream: TcpStream| {
        tokio::task::spawn_blocking(move || {
            let _ = stream.write_all(&request(18, 0, &[]));
            answer(&mut stream).map(|_| stream)
        })
    };
    let (one, two) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let first = lives(from(one).await).await.unwrap();
    let second = lives(from(one).await).await.unwrap();
    assert!(first.is_some() && second.is_some());
    assert!(lives(from(one).await).await.unwrap().is_none(), "a third");
    assert!(lives(from(two).await).await.unwrap().is_some(), "another's");
    drop(second);
    until_connections(&street, 1);
    assert!(lives(from(one).await).await.unwrap().is_some(), "its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_writers_hold_up_nobody() {
    let street = start_with(|config| {
        config.limits.request_bytes = 4 << 20;
        config.limits.request_memory_bytes = 8 << 20;
        config.limits.stalled = Duration::from_secs(1);
        config.limits.slowest_bytes_per_second = 4 << 20;
    })
    .await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    // More is promised than the memory holds, and hardly anything is sent.
    for _ in 0..8 {
        let mut stream = connect(address);
        stream.write_all(&(4u32 << 20).to_be_bytes()).unwrap();
        stream.write_all(&[0; 20 << 10]).unwrap();
        thread::spawn(move || {
            while stream.write_all(&[0; 100]).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
    }
    let producer = street.producer();
    let large = "x".repeat(200 << 10);
    let began = Instant::now();
    for i in 0..20 {
        assert_eq!(send(&producer, "t", 0, "k", &large).await.1, i);
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let until = Instant::now() + WAIT;
    while street.broker.monitor().stats().requests_refused < 2 {
        assert!(Instant::now() < until, "the slow ones are not closed");
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_hold_up_nobody() {
    let street = start_with(|config| {
        config.limits.fetch_memory_bytes = 8 << 20;
        config.limits.stalled = Duration::from_secs(1);
    })
    .await;
    street.topic("t", 1, &[]).await;
    let producer = street.producer();
    let large = "x".repeat(500 << 10);
    for i in 0..8 {
        assert_eq!(send(&producer, "t", 0, "k", &large).await.1, i);
    }
    let address = street.broker.local_addr();
    // Each asks for much more than its socket takes, and reads nothing.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(address);
            let all: Vec<u8> = (0..60).flat_map(|_| fetch("t", 0, 0, 1)).collect();
            stream.write_all(&all).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(street.read_all("t", 8).await.len(), 8);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    until_connections(&street, 4);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_peers_are_answered_and_closed() {
    let street = start_with(|config| config.limits.idle = Duration::from_millis(300)).await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    tokio::task::spawn_blocking(move || {
        // One that has said all it has to say still gets its answer, and then the end.
        let mut stream = connect(address);
        stream.write_all(&request(18, 0, &[])).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(answer(&mut stream).is_some());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        // One that waits for records and says nothing more is given up.
        let mut stream = connect(address);
        stream.write_all(&fetch("t", 0, 60_000, 1)).unwrap();
        let began = Instant::now();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        assert!(began.elapsed() < Duration::from_secs(5));
    })
    .await
    .unwrap();
    until_connections(&street, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_waits_for_enough_and_wakes_at_once() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    let size = batch().len();
    tokio::task::spawn_blocking(move || {
        let mut reader = connect(address);
        let mut writer = connect(address);
        let mut write = || {
            writer
                .write_all(&request(0, 3, &produce("t", 0, &batch())))
                .unwrap();
            answer(&mut writer).unwrap();
        };
        let mut poll = |least: usize, wait_ms: i32| {
            reader
                .write_all(&fetch("t", 0, wait_ms, least as i32))
                .unwrap();
            let mut reader = reader.try_clone().unwrap();
            thread::spawn(move || (fetched(&answer(&mut reader).unwrap()), Instant::now()))
        };
        // Two batches are asked for: the first one wakes nobody, the second does.
        let waiting = poll(2 * size, 8_000);
        write();
        thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "one batch is not enough");
        write();
        let written = Instant::now();
        let (bytes, answered) = waiting.join().unwrap();
        assert_eq!(bytes, 2 * size);
        let late = answered.saturating_duration_since(written);
        assert!(late < Duration::from_millis(500), "{late:?}");
        // Three never come, so time decides, and what there is is given.
        let began = Instant::now();
        let (bytes, answered) = poll(3 * size, 400).join().unwrap();
        assert_eq!(bytes, 2 * size);
        let waited = answered - began;
        assert!(waited >= Duration::from_millis(400) && waited < Duration::from_secs(3));
    })
    .await
    .unwrap();
}

/// A batch that says what it is not, its sum put right.
fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut forged = batch();
    change(&mut forged);
    let sum = crc32c(&forged[21..]);
    forged[17..21].copy_from_slice(&sum.to_be_bytes());
    forged
}

/// A frame of zstd that unpacks to 128 KiB for each of its blocks of four bytes.
fn bomb(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for block in 1..=blocks {
        let header = (128u32 << 10) << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_lie_are_refused_and_nothing_is_unpacked_without_bound() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let address = street.broker.local_addr();
    let cases = [
        ("sound", forged(|_| {}), 0),
        ("more records than there are", forged(|b| b[60] = 2), 87),
        (
            "two billion records",
            forged(|b| {
                b[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
                b[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
            }),
            87,
        ),
        ("no records", forged(|b| b[57..61].fill(0)), 87),
        ("a record beyond the batch", forged(|b| b[61] = 0x7e), 87),
        ("an unknown codec", forged(|b| b[22] = 7), 76),
        ("a control batch", forged(|b| b[22] = 0x20), 87),
        ("a batch of a transaction", forged(|b| b[22] = 0x10), 48),
        ("a length beyond the bytes", forged(|b| b[11] += 1), 2),
        ("a length below zero", forged(|b| b[8] = 0xff), 2),
        ("an old format", forged(|b| b[16] = 1), 43),
        (
            "longer than the topic takes",
            forged(|b| {
                b.extend(vec![0; 2 << 20]);
                let length = b.len() as i32 - 12;
                b[8..12].copy_from_slice(&length.to_be_bytes());
            }),
            10,
        ),
    ];
    let before = resident_bytes();
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let mut send = |records: &[u8]| {
            stream
                .write_all(&request(0, 3, &produce("t", 0, records)))
                .unwrap();
            let body = answer(&mut stream).unwrap();
            i16::from_be_bytes(body[15..17].try_into().unwrap())
        };
        for (what, records, code) in &cases {
            assert_eq!(send(records), *code, "{what}");
        }
        // A megabyte that unpacks to 30 GB.
        let packed = forged(|b| {
            b.truncate(61);
            b[22] = 4;
            b[35..43].copy_from_slice(&9_000i64.to_be_bytes());
            b.extend(bomb(240_000));
            let length = b.len() as i32 - 12;
            b[8..12].copy_from_slice(&length.to_be_bytes());
        });
        let code = send(&packed);
        assert_eq!(code, 87);
        let mut by_time = (-1i32).to_be_bytes().to_vec();
        by_time.extend(1i32.to_be_bytes());
        by_time.extend([0, 1, b't']);
        by_time.extend(1i32.to_be_bytes());
        by_time.extend(0i32.to_be_bytes());
        by_time.extend(5_000i64.to_be_bytes());
        let began = Instant::now();
        stream.write_all(&request(2, 1, &by_time)).unwrap();
        assert!(answer(&mut stream).is_some());
        assert!(began.elapsed() < Duration::from_secs(2));
    })
    .await
    .unwrap();
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes more are held");
    assert!(send(&street.producer(), "t", 0, "k", "v").await.1 > 0);
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn no_topic_name_leads_out_of_the_folder() {
    let street = start_with(|config| config.auto_create_topics = true).await;
    let address = street.broker.local_addr();
    let outside = street.folder.path().join("escaped");
    tokio::task::spawn_blocking(move || {
        for name in [
            "../escaped",
            "../../escaped",
            "/tmp/escaped",
            "..",
            ".",
            "",
            "a/b",
            "a\0b",
        ] {
            let mut body = 1i32.to_be_bytes().to_vec();
            body.extend((name.len() as i16).to_be_bytes());
            body.extend(name.as_bytes());
            let mut stream = connect(address);
            stream.write_all(&request(3, 1, &body)).unwrap();
            let body = answer(&mut stream).unwrap();
            let invalid = 17i16.to_be_bytes();
            assert!(body.windows(2).any(|code| code == invalid), "{name:?}");
            stream
                .write_all(&request(0, 3, &produce(name, 0, &batch())))
                .unwrap();
            let body = answer(&mut stream).unwrap();
            let at = 14 + name.len();
            assert_eq!(body[at..at + 2], 3i16.to_be_bytes(), "{name:?}");
        }
    })
    .await
    .unwrap();
    assert!(!outside.exists());
    assert!(street.broker.monitor().stats().topics.is_empty());
}
