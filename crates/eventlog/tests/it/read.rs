//! Ranges, places and times.

use std::time::Duration;

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{ConsumerConfig, Log, LogError, ReadError};
use futures_util::future::join_all;
use time::OffsetDateTime;

use crate::{
    group::assigned,
    street::{Street, fill, numbers, offsets, soon},
};

const AD: Topic = Topic::Ad;
const P: Partition = Partition(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_its_range_and_ends() {
    let street = Street::open().await;
    street.fill(P, 0..10_000).await;
    for (from, to) in [(0, 10_000), (0, 1), (9_999, 10_000), (4_321, 8_765), (5, 5)] {
        let mut replay = street.log.replay(AD, P, Offset(from), Offset(to)).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = soon(replay.next_batch()).await.unwrap() {
            assert!(!batch.is_empty());
            found.extend(offsets(&batch));
        }
        assert!(
            found == (from..to).collect::<Vec<_>>(),
            "{from}..{to}: {found:?}"
        );
        assert_eq!(replay.next_offset(), Offset(to));
        assert_eq!(
            soon(replay.next_batch()).await.unwrap(),
            None,
            "it stays over"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_beyond_the_end_waits_for_what_comes() {
    let street = Street::open().await;
    street.fill(P, 0..2).await;
    let mut replay = street.log.replay(AD, P, Offset(0), Offset(3)).unwrap();
    let first = soon(replay.next_batch()).await.unwrap().unwrap();
    assert_eq!(offsets(&first), [0, 1]);
    let waits = tokio::time::timeout(Duration::from_millis(300), replay.next_batch()).await;
    assert!(waits.is_err(), "the range is not read yet");
    street.fill(P, 2..4).await;
    let last = soon(replay.next_batch()).await.unwrap().unwrap();
    assert_eq!(offsets(&last), [2], "and no further");
    assert_eq!(soon(replay.next_batch()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_once_their_leader_is_back() {
    let mut street = Street::open().await;
    // Nodes of Kafka take longer to come than anybody waits for an answer.
    if !street.is_embedded() {
        return;
    }
    street.fill(Partition(1), 0..3).await;
    let partitions = [(Topic::Ad, Partition(1))];
    street.log.ends(&partitions).await.unwrap();
    street.crash();
    let log = street.log.clone();
    let asking = tokio::spawn(async move { log.ends(&partitions).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    street.start_again().await;
    let ends = soon(asking).await.unwrap().unwrap();
    assert_eq!(ends, [(Topic::Ad, Partition(1), Offset(3))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_ends_and_times() {
    let street = Street::open().await;
    street.fill(P, 0..100).await;
    let bounds = street.log.bounds(AD, P).await.unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset(0), Offset(100)));
    let asked = [(AD, Partition(0)), (AD, P), (Topic::Account, Partition(2))];
    assert_eq!(street.log.ends(&[]).await.unwrap(), []);
    let ends = street.log.ends(&asked).await.unwrap();
    let ends: Vec<i64> = ends.into_iter().map(|(_, _, end)| end.0).collect();
    assert_eq!(ends, [0, 100, 0]);
    let error = street.log.bounds(AD, Partition(6)).await.unwrap_err();
    assert!(matches!(error, LogError::NoPartition { .. }), "{error:?}");

    let first = OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap();
    for (after_ms, expected) in [(-5, Some(0)), (0, Some(0)), (42, Some(42)), (100, None)] {
        let at = first + time::Duration::milliseconds(after_ms);
        let found = street.log.offset_at_time(AD, P, at).await.unwrap();
        assert_eq!(found, expected.map(Offset), "{after_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_there_is_said_with_what_is() {
    let street = Street::open().await;
    street.fill(P, 0..10).await;
    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let mut reader = group.start(AD, P, Offset(11)).unwrap();
    match soon(reader.next_batch(10, 1 << 20)).await.unwrap_err() {
        ReadError::OutOfRange { at, bounds } => {
            assert_eq!(at.offset, Offset(11));
            assert_eq!((bounds.start, bounds.end), (Offset(0), Offset(10)));
        }
        other => panic!("{other}"),
    }
    drop(reader);
    // The end itself is a place: the next record's.
    let mut reader = group.start(AD, P, Offset(10)).unwrap();
    street.fill(P, 10..11).await;
    let batch = soon(reader.next_batch(10, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&batch), [10]);
}

/// What librdkafka has read behind the damage must not come as if nothing were missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_ends_the_reading_there_and_nothing_behind_it_comes() {
    let street = Street::open().await;
    street.fill(P, 0..3).await;
    // Behind the batch's head, which is not what its sum is over.
    let inside = street.size_of(AD) + 70;
    street.fill(P, 3..6).await;
    street.fill(P, 6..9).await;
    street.turn_a_bit(AD, inside);

    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let mut reader = group.start(AD, P, Offset(0)).unwrap();
    let sound = soon(reader.next_batch(100, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&sound), [0, 1, 2]);
    for _ in 0..2 {
        let error = soon(reader.next_batch(100, 1 << 20)).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        let said = error.to_string();
        assert!(said.contains("ad/1@3 is damaged"), "{said}");
        assert!(said.ends_with("does not have its checksum"), "{said}");
        assert!(said.contains("docs/operations.md"), "{said}");
    }
    let mut replay = street.log.replay(AD, P, Offset(1), Offset(9)).unwrap();
    let sound = soon(replay.next_batch()).await.unwrap().unwrap();
    assert_eq!(offsets(&sound), [1, 2]);
    let error = soon(replay.next_batch()).await.unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");

    street.turn_a_bit(AD, inside);
    reader.seek(Offset(3)).unwrap();
    let mut found = Vec::new();
    while found.len() < 6 {
        match soon(reader.next_batch(100, 1 << 20)).await {
            Ok(batch) => found.extend(offsets(&batch)),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    assert_eq!(found, [3, 4, 5, 6, 7, 8]);
}

/// A batch's first 21 bytes are in no sum. The embedded broker knows what must stand
/// there; of others nothing is promised.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_header_ends_the_reading_there_and_no_offset_is_wrong() {
    let street = Street::open().await;
    if !street.is_embedded() {
        return;
    }
    street.fill(P, 0..3).await;
    let batch = street.size_of(AD);
    street.fill(P, 3..6).await;
    street.fill(P, 6..9).await;
    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    for byte in 0..21 {
        street.turn_a_bit(AD, batch + byte);
        let mut reader = group.start(AD, P, Offset(0)).unwrap();
        // As a whole: one that tries again for ever is no better than one that waits.
        let (found, halt) = soon(async {
            let mut found = Vec::new();
            while found.len() < 9 {
                match reader.next_batch(100, 1 << 20).await {
                    Ok(records) => {
                        let sent: Vec<_> = numbers(&records).iter().map(|n| *n as i64).collect();
                        assert_eq!(offsets(&records), sent, "byte {byte}");
                        found.extend(sent);
                    }
                    Err(error) if error.is_transient() => {}
                    Err(error) => return (found, Some(error)),
                }
            }
            (found, None)
        })
        .await;
        match (byte, halt) {
            // The leader's epoch, which says nothing where there is one broker.
            (12..16, None) => assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
            (_, Some(ReadError::Damaged { at, .. })) => {
                assert_eq!(
                    (&found[..], at.offset),
                    (&[0, 1, 2][..], Offset(3)),
                    "byte {byte}"
                );
            }
            (_, halt) => panic!("byte {byte}: {found:?}, then {halt:?}"),
        }
        street.turn_a_bit(AD, batch + byte);
    }
}

/// After a rollback the next batch starts exactly where it is told, however much
/// has been fetched ahead, and nothing comes twice or is skipped.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_is_exact() {
    let street = Street::open().await;
    street.fill(P, 0..5_000).await;
    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let mut reader = group.start(AD, P, Offset(0)).unwrap();
    let mut expected = 0;
    // Forwards, back, into what was fetched, and several without a read between.
    for to in [100, 50, 4_000, 3_999, 0, 4_999, 2_500, 2_501] {
        let before = soon(reader.next_batch(7, 1 << 20)).await.unwrap();
        assert_eq!(offsets(&before)[0], expected);
        reader.seek(Offset(1)).unwrap();
        reader.seek(Offset(to)).unwrap();
        expected = to;
        assert_eq!(reader.next_offset(), Offset(to));
    }
    let mut found = Vec::new();
    while found.last() != Some(&4_999) {
        found.extend(numbers(
            &soon(reader.next_batch(999, 1 << 20)).await.unwrap(),
        ));
    }
    assert!(found == (2_501..5_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_bounds_and_a_cancelled_one_loses_nothing() {
    let street = Street::open().await;
    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let mut reader = group.start(AD, P, Offset(0)).unwrap();
    let appender = street.appender();
    let writer = async {
        for start in (0..2_000).step_by(20) {
            fill(&appender, P, start..start + 20).await;
        }
    };
    let reading = async {
        let mut found = Vec::new();
        while found.len() < 2_000 {
            let next = reader.next_batch(50, 2_000);
            if let Ok(batch) = tokio::time::timeout(Duration::from_micros(500), next).await {
                let batch = batch.unwrap();
                let but_the_last: usize = batch[..batch.len() - 1].iter().map(|r| r.size()).sum();
                assert!(batch.len() <= 50 && but_the_last < 2_000);
                found.extend(numbers(&batch));
            }
        }
        found
    };
    let ((), found) = soon(async { tokio::join!(writer, reading) }).await;
    assert!(found == (0..2_000).collect::<Vec<_>>());
}

/// The whole topic's readers are sent elsewhere again and again, each at moments of
/// its own: before they have read anything, while the first records are on their way,
/// after those have come, and in the middle of reading.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_at_any_moment_is_followed() {
    let street = Street::open().await;
    for partition in Log::partitions(AD) {
        street.fill(partition, 0..200).await;
    }
    let (group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let wander = async |partition: Partition| {
        for round in 0..40_i64 {
            let mut reader = group.start(AD, partition, Offset(0)).unwrap();
            if round % 2 == 1 {
                let read = soon(reader.next_batch(7, 1 << 20)).await.unwrap();
                assert_eq!(offsets(&read)[0], 0, "{partition} round {round}");
            }
            let ms = (round * (3 + i64::from(partition.0))) % 70;
            tokio::time::sleep(Duration::from_millis(ms as u64)).await;
            let to = round * 37 % 190;
            reader.seek(Offset(to)).unwrap();
            let found = soon(reader.next_batch(5, 1 << 20)).await.unwrap();
            let expected: Vec<_> = (to..).take(found.len()).collect();
            assert_eq!(offsets(&found), expected, "{partition} round {round}");
        }
    };
    join_all(Log::partitions(AD).map(wander)).await;
}

/// The client of a group has heard nothing of its topics when it is asked to read one
/// for the first time. librdkafka has another entry for each partition after the seek.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_before_the_topic_is_known_is_followed() {
    let street = Street::open().await;
    for partition in Log::partitions(AD) {
        street.fill(partition, 0..200).await;
    }
    for client in 0..10 {
        let group = format!("g{client}");
        let (group, _) = assigned(&street.log, &group, ConsumerConfig::default()).await;
        let sent = |partition| {
            let mut reader = group.start(AD, partition, Offset(0)).unwrap();
            reader.seek(Offset(50)).unwrap();
            reader.seek(Offset(100)).unwrap();
            reader
        };
        let readers: Vec<_> = Log::partitions(AD).map(sent).collect();
        for mut reader in readers {
            let found = soon(reader.next_batch(999, 1 << 20)).await.unwrap();
            assert_eq!(offsets(&found)[0], 100, "{reader:?} of client {client}");
        }
    }
}
