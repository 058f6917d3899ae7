//! A log that is not the one that was folded, or not all of it: each partition that this concerns
//! stands still, says so, and leaves its rows and its checkpoint as they are.

use std::time::Duration;

use compline_event::{Partition, Topic};
use compline_projector::PartitionState;
use compline_testkit::log;

use crate::street::{PARTITION, Running, Street};

const ELSEWHERE: Partition = Partition(1);

/// Three records, applied, and whoever applied them.
async fn applied() -> (Street, Running) {
    let street = Street::open().await;
    for status in ["A", "B", "C"] {
        street.tell("ad1", status, None).await;
    }
    let running = street.start(10);
    street.reached(3).await;
    (street, running)
}

async fn is_untouched(street: &Street) {
    assert_eq!(street.next_offset().await, 3);
    assert_eq!(street.rows().await["ad1"], (3, "A B C ".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_record_than_the_one_that_was_applied_stops_its_partition() {
    let street = Street::open().await;
    street.tell("ad1", "A", None).await;
    street.tell("ad1", "B", None).await;
    let mut conn = street.conn().await;
    // What was applied last is not what stands there now.
    let foreign =
        "UPDATE compline.checkpoint SET next_offset = 1, last_event_id = gen_random_uuid()
                   WHERE topic = 'ad' AND partition = $1";
    sqlx::query(foreign)
        .bind(PARTITION.0)
        .execute(&mut conn)
        .await
        .unwrap();
    let running = street.start(10);
    let reason = running.stopped().await;
    assert!(
        reason.contains("ad/0@0") && reason.contains("cut or made anew"),
        "{reason}"
    );
    running.stop().await;
    assert!(street.rows().await.is_empty(), "nothing is touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_beyond_the_log_stops_its_partition() {
    let street = Street::open().await;
    street.tell("ad1", "A", None).await;
    let mut conn = street.conn().await;
    let beyond =
        "UPDATE compline.checkpoint SET next_offset = 7 WHERE topic = 'ad' AND partition = $1";
    sqlx::query(beyond)
        .bind(PARTITION.0)
        .execute(&mut conn)
        .await
        .unwrap();
    let running = street.start(10);
    let reason = running.stopped().await;
    assert!(
        reason.contains("at 7") && reason.contains("0 up to 1"),
        "{reason}"
    );
    running.stop().await;
    assert!(street.rows().await.is_empty(), "nothing is touched");
}

/// Records that were taken away before they were read are not in the rows, and never will be.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_before_the_log_stops_its_partition() {
    let street = Street::open().await;
    for status in ["A", "B", "C"] {
        street.tell("ad1", status, None).await;
    }
    street.tell_in(ELSEWHERE, "ad2", "A", None).await;
    street
        .broker
        .delete_before(&street.log.topic_name(Topic::Ad), PARTITION.0, 2);
    let running = street.start(10);
    let reason = running.stopped().await;
    assert!(
        reason.contains("at 0") && reason.contains("2 up to 3") && reason.contains("expired"),
        "{reason}"
    );
    street.reached_in(ELSEWHERE, 1).await;
    running.stop().await;
    assert_eq!(street.next_offset().await, 0);
    assert!(
        !street.rows().await.contains_key("ad1"),
        "nothing is touched"
    );
}

/// The topics are there again, under their names, and empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_lost_under_its_readers_stops_them() {
    let (mut street, running) = applied().await;
    let (_, mut empty) = log().await;
    street.broker.stop().await;
    empty.stop().await;
    street.broker.change_places(&mut empty);
    street.broker.start().await;
    street.tell("ad1", "X", None).await;
    let reason = running.stopped().await;
    // Before the new record was there, or after.
    assert!(reason.contains("holds 0 up to "), "{reason}");
    running.stop().await;
    is_untouched(&street).await;

    let running = street.start(10);
    let reason = running.stopped().await;
    assert!(
        reason.contains("at 3") && reason.contains("made anew"),
        "{reason}"
    );
    running.stop().await;
    is_untouched(&street).await;
}

/// Its records stand where this reader goes on, as soon as it can be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_replaced_under_its_readers_by_a_longer_one_stops_them() {
    let (mut street, running) = applied().await;
    let mut other = Street::open().await;
    for status in ["V", "W", "X", "Y", "Z"] {
        other.tell("ad1", status, None).await;
    }
    street.broker.stop().await;
    other.broker.stop().await;
    street.broker.change_places(&mut other.broker);
    street.broker.start().await;
    let reason = running.stopped().await;
    assert!(
        reason.contains("ad/0@2") && reason.contains("made anew"),
        "{reason}"
    );
    running.stop().await;
    is_untouched(&street).await;
}

/// It is looked at, and nothing is said to begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_comes_back_the_same_troubles_nobody() {
    let (mut street, running) = applied().await;
    for (status, reached) in [("D", 4), ("E", 5)] {
        street.broker.stop().await;
        street.broker.start().await;
        street.tell("ad1", status, None).await;
        let status = running.status.clone();
        let troubled = async move {
            let retries = |(_, _, state): &(_, _, PartitionState)| {
                matches!(state, PartitionState::Retrying { .. })
            };
            while !status.partitions().iter().any(retries) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = street.reached(reached) => {}
            () = troubled => panic!("a partition begins anew"),
        }
    }
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (5, "A B C D E ".to_owned()));
}
