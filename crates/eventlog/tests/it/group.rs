//! Who reads what, and from where.

use std::{collections::BTreeSet, time::Duration};

use compline_event::{Offset, Partition, Position, Topic};
use compline_eventlog::{Change, ConsumerConfig, GroupConsumer, Log, LogError, ReadError};

use crate::street::{Street, offsets, soon};

const AD: Topic = Topic::Ad;

type Places = BTreeSet<(Topic, Partition)>;

/// A member of a group of its own, with everything assigned to it.
pub(crate) async fn assigned(
    log: &Log,
    group: &str,
    config: ConsumerConfig,
) -> (GroupConsumer, Places) {
    let mut consumer = log.consumer(group, &[AD], config).unwrap();
    match soon(consumer.change()).await.unwrap() {
        Change::Assigned(places) => (consumer, places.into_iter().collect()),
        other => panic!("{other:?}"),
    }
}

fn whole_topic() -> Places {
    Log::partitions(AD)
        .map(|partition| (AD, partition))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_starts_where_the_owner_says_and_nowhere_else() {
    let street = Street::open().await;
    street.fill(Partition(3), 0..100).await;
    let (group, places) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    assert_eq!(places, whole_topic());

    // A hint of another place is for tools alone.
    let next_offset = Offset(90);
    let (topic, partition) = (AD, Partition(3));
    group.hint([Position {
        topic,
        partition,
        next_offset,
    }]);
    let mut reader = group.start(AD, Partition(3), Offset(40)).unwrap();
    let batch = soon(reader.next_batch(5, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&batch), [40, 41, 42, 43, 44]);

    let second = group.start(AD, Partition(3), Offset(0)).unwrap_err();
    assert!(
        matches!(second, LogError::AlreadyReading { .. }),
        "{second}"
    );
    let foreign = group
        .start(Topic::Account, Partition(0), Offset(0))
        .unwrap_err();
    assert!(matches!(foreign, LogError::NotAssigned { .. }), "{foreign}");

    group.stop(AD, Partition(3));
    let stopped = soon(reader.next_batch(5, 1 << 20)).await.unwrap_err();
    assert!(matches!(stopped, ReadError::Revoked { .. }), "{stopped}");
    drop(reader);
    let mut again = group.start(AD, Partition(3), Offset(99)).unwrap();
    let batch = soon(again.next_batch(5, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&batch), [99], "the wake-up of the new reader works");
    street.fill(Partition(3), 100..101).await;
    let batch = soon(again.next_batch(5, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&batch), [100]);
    soon(group.close()).await;
}

/// The partitions of two members: apart at every moment, and together all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_its_share_once_the_first_has_let_go() {
    let street = Street::open().await;
    for partition in Log::partitions(AD) {
        street.fill(partition, 0..10).await;
    }
    let config = ConsumerConfig {
        revoke_deadline: Duration::from_secs(20),
        ..ConsumerConfig::default()
    };
    let (mut first, mut ours) = assigned(&street.log, "g", config.clone()).await;
    let mut second = street.log.consumer("g", &[AD], config).unwrap();
    let Change::Revoked(held, ack) = soon(first.change()).await.unwrap() else {
        panic!("nothing was revoked");
    };
    assert_eq!(held.len(), 3, "half of six");
    for place in &held {
        assert!(ours.remove(place));
        let refused = first.start(place.0, place.1, Offset(0)).unwrap_err();
        assert!(matches!(refused, LogError::NotAssigned { .. }), "{refused}");
    }
    // What stays is read on while the rest is on its way.
    let (topic, partition) = *ours.first().unwrap();
    let mut reader = first.start(topic, partition, Offset(3)).unwrap();
    let batch = soon(reader.next_batch(2, 1 << 20)).await.unwrap();
    assert_eq!(offsets(&batch), [3, 4]);

    let early = tokio::time::timeout(Duration::from_secs(1), second.change()).await;
    assert!(
        early.is_err(),
        "not before the first has acknowledged: {early:?}"
    );
    ack.done();
    let theirs = wait_for_places(&mut second, 3).await;
    assert_eq!(theirs, held.into_iter().collect());
    let (topic, partition) = *theirs.first().unwrap();
    let mut taken = second.start(topic, partition, Offset(9)).unwrap();
    assert_eq!(
        offsets(&soon(taken.next_batch(2, 1 << 20)).await.unwrap()),
        [9]
    );

    // It leaves, and they come back without waiting for a session to run out.
    drop(taken);
    let since = std::time::Instant::now();
    soon(second.close()).await;
    let back = wait_for_places(&mut first, 3).await;
    assert_eq!(back, theirs);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}

/// The next `count` places that the member is assigned, in one decision or several.
async fn wait_for_places(member: &mut GroupConsumer, count: usize) -> Places {
    let mut places = Places::new();
    while places.len() < count {
        match soon(member.change()).await.unwrap() {
            Change::Assigned(new) => places.extend(new),
            other => panic!("{other:?}"),
        }
    }
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_let_go_loses_its_partitions_all_the_same() {
    let street = Street::open().await;
    let config = ConsumerConfig {
        revoke_deadline: Duration::from_millis(700),
        ..ConsumerConfig::default()
    };
    let (mut first, places) = assigned(&street.log, "g", config.clone()).await;
    let mut readers = Vec::new();
    for (topic, partition) in &places {
        readers.push(first.start(*topic, *partition, Offset(0)).unwrap());
    }
    let mut second = street.log.consumer("g", &[AD], config).unwrap();
    // The owner is told, and then never heard of again.
    let Change::Revoked(revoked, ack) = soon(first.change()).await.unwrap() else {
        panic!("nothing was revoked");
    };
    let theirs = wait_for_places(&mut second, 3).await;
    assert_eq!(theirs, revoked.into_iter().collect());
    for reader in &mut readers {
        let ours = !theirs.contains(&(reader.topic(), reader.partition()));
        let read = reader.next_batch(1, 1);
        match tokio::time::timeout(Duration::from_millis(100), read).await {
            Err(_) => assert!(ours, "{:?} reads on", reader),
            Ok(Err(ReadError::Revoked { .. })) => assert!(!ours),
            Ok(other) => panic!("{other:?}"),
        }
    }
    ack.done();
    soon(first.close()).await;
}

/// A hint that the log has not answered holds nobody up, nor does the end of the runtime.
#[test]
fn a_member_leaves_a_log_that_is_away() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut street = Street::open().await;
        let config = ConsumerConfig::default();
        let (told, _) = assigned(&street.log, "told", config.clone()).await;
        let (dropped, places) = assigned(&street.log, "dropped", config).await;
        for group in [&told, &dropped] {
            group.hint(places.iter().map(|(topic, partition)| Position {
                topic: *topic,
                partition: *partition,
                next_offset: Offset(0),
            }));
        }
        street.crash();
        soon(told.close()).await;
        drop(dropped);
    });
    let since = std::time::Instant::now();
    drop(runtime);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}

/// However a member goes, it goes: with its partitions unread, unacknowledged, or
/// never told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_can_leave_at_any_moment() {
    let street = Street::open().await;
    let config = ConsumerConfig::default();
    let untold = street
        .log
        .consumer("untold", &[AD], config.clone())
        .unwrap();
    soon(untold.close()).await;

    let (unread, _) = assigned(&street.log, "unread", config.clone()).await;
    soon(unread.close()).await;

    let (mut first, _) = assigned(&street.log, "held", config.clone()).await;
    let mut second = street.log.consumer("held", &[AD], config.clone()).unwrap();
    let Change::Revoked(_, ack) = soon(first.change()).await.unwrap() else {
        panic!("nothing was revoked");
    };
    soon(first.close()).await;
    let all = wait_for_places(&mut second, 6).await;
    assert_eq!(all, whole_topic());
    drop(ack);
    drop(second);
    let (third, places) = assigned(&street.log, "held", config).await;
    assert_eq!(places, whole_topic());
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_outlives_its_broker() {
    let mut street = Street::open().await;
    street.fill(Partition(0), 0..5).await;
    let (mut group, _) = assigned(&street.log, "g", ConsumerConfig::default()).await;
    let mut reader = group.start(AD, Partition(0), Offset(0)).unwrap();
    assert_eq!(soon(reader.next_batch(5, 1 << 20)).await.unwrap().len(), 5);
    street.crash();
    tokio::time::sleep(Duration::from_millis(300)).await;
    street.start_again().await;
    street.fill(Partition(0), 5..8).await;

    // A broker that forgot its groups makes this member join again; one that
    // did not changes nothing.
    let mut found = 5;
    // Whether this reader may take the log for the same.
    let mut is_told = false;
    while found < 8 {
        tokio::select! {
            batch = soon(reader.next_batch(5, 1 << 20)) => match batch {
                Ok(batch) => {
                    assert!(is_told, "it has read on as if nothing had been");
                    assert_eq!(batch[0].at.offset.0, found);
                    found = batch.last().unwrap().at.offset.next().0;
                }
                Err(ReadError::Reconnected { offset, .. }) => {
                    assert_eq!(offset.0, found);
                    is_told = true;
                }
                Err(ReadError::Transient { .. }) => {}
                Err(ReadError::Revoked { .. }) => {
                    drop(reader);
                    reader = loop {
                        match soon(group.change()).await.unwrap() {
                            Change::Revoked(..) => {}
                            Change::Assigned(_) => {
                                break group.start(AD, Partition(0), Offset(found)).unwrap();
                            }
                        }
                    };
                    is_told = true;
                }
                Err(error) => panic!("{error}"),
            },
            change = group.change() => match change.unwrap() {
                Change::Revoked(_, ack) => {
                    ack.done();
                }
                Change::Assigned(_) => {
                    drop(reader);
                    reader = group.start(AD, Partition(0), Offset(found)).unwrap();
                    is_told = true;
                }
            },
        }
    }
    assert_eq!(found, 8);
}
