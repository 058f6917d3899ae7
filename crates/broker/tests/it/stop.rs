//! What a stop in order leaves behind, and whom it answers.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{WAIT, send, start_with};
use crate::limits::fetch;
use crate::raw::{answer, batch, connect, produce, request};

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_begun_is_answered() {
    let street = start_with(|config| config.limits.pipelined_requests = 1).await;
    street.topic("t", 1, &[]).await;
    let mut stream = connect(street.broker.local_addr());
    // It is answered when its time is up, and holds up the answers behind it until then.
    let mut all = fetch("t", 0, 2_500, i32::MAX);
    for _ in 0..8 {
        all.extend(request(0, 3, &produce("t", 0, &batch())));
    }
    stream.write_all(&all).unwrap();
    // One waits for its turn, and one for a place to wait in.
    let until = Instant::now() + WAIT;
    while street.broker.monitor().stats().batches_appended < 2 {
        assert!(Instant::now() < until, "they are not begun");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopped = tokio::spawn(street.broker.stop());
    let answers = tokio::task::spawn_blocking(move || {
        let first = answer(&mut stream).map(|_| ());
        let rest = std::iter::from_fn(|| answer(&mut stream)).count();
        (first, rest)
    });
    assert_eq!(answers.await.unwrap(), (Some(()), 2));
    stopped.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_asked_for_more_gets_the_answers_to_what_was_begun_whole() {
    let street = start_with(|config| config.limits.pipelined_requests = 1).await;
    street.topic("t", 1, &[]).await;
    let producer = street.producer();
    let large = "x".repeat(500 << 10);
    for i in 0..6 {
        assert_eq!(send(&producer, "t", 0, "k", &large).await.1, i);
    }
    drop(producer);
    let mut stream = connect(street.broker.local_addr());
    let monitor = street.broker.monitor();
    let before = monitor.stats().requests;
    let mut all = fetch("t", 0, 1_000, i32::MAX);
    for _ in 0..6 {
        all.extend(fetch("t", 0, 0, 1));
    }
    stream.write_all(&all).unwrap();
    let until = Instant::now() + WAIT;
    while monitor.stats().requests < before + 3 {
        assert!(Instant::now() < until, "they are not begun");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopped = tokio::spawn(street.broker.stop());
    let read = tokio::task::spawn_blocking(move || {
        let (mut bytes, mut read) = (vec![0; 64 << 10], 0);
        loop {
            thread::sleep(Duration::from_millis(2));
            match stream.read(&mut bytes).unwrap() {
                0 => return read,
                more => read += more,
            }
        }
    });
    assert!(read.await.unwrap() > 3 * 6 * large.len());
    stopped.await.unwrap().unwrap();
}
