//! Batches of several partitions share a transaction, and nothing else.

use std::time::{Duration, Instant};

use compline_event::Partition;
use compline_readmodel::pool::WRITER_IDLE_TIMEOUT;
use sqlx::{Connection as _, PgConnection};

use crate::{
    street::Street,
    tally::{BUG, UNFOLDABLE},
};

/// A transaction that waits for what this one holds. Not for long: a writer's
/// wait for a lock is bounded.
async fn hold(conn: &mut PgConnection) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut held = conn.begin().await.unwrap();
    sqlx::query("LOCK TABLE tally_g1.tally IN EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

/// Until a transaction waits for what is held.
async fn somebody_waits(street: &Street) {
    let mut conn = street.conn().await;
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        if waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Nothing outside shows that a partition has queued up.
async fn all_queue_up() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_during_a_transaction_shares_the_next() {
    let street = Street::open().await;
    let running = street.start(100);
    running.follows_all().await;

    let mut conn = street.conn().await;
    let held = hold(&mut conn).await;
    street.tell_in(Partition(0), "first", "A", None).await;
    somebody_waits(&street).await;
    for partition in 1..6 {
        for nth in 0..3 {
            let ad = format!("ad{partition}-{nth}");
            street.tell_in(Partition(partition), &ad, "A", None).await;
        }
    }
    all_queue_up().await;
    held.commit().await.unwrap();
    for partition in 1..6 {
        street.reached_in(Partition(partition), 3).await;
    }
    running.stop().await;

    let transactions: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT xmin::text) FROM tally_g1.tally WHERE ad_id <> 'first'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(street.rows().await.len(), 16);
    assert_eq!(transactions, 1);
}

/// Poison, a hole, a lost fence and a bug in four partitions of one shared
/// transaction: each stops what it would have stopped alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_partition_is_that_ones_alone() {
    let street = Street::open().await;
    let [poison, hole, fence, bug, well] = [1, 2, 3, 4, 5].map(Partition);
    street.tell_in(hole, "hole", "A", Some(1)).await;
    let running = street.start(100);
    running.follows_all().await;
    street.reached_in(hole, 1).await;

    let mut conn = street.conn().await;
    let mut held = hold(&mut conn).await;
    street.tell_in(Partition(0), "first", "A", None).await;
    somebody_waits(&street).await;
    street.tell_in(poison, "poison", UNFOLDABLE, None).await;
    street.tell_in(poison, "beside", "A", None).await;
    street.tell_in(hole, "hole", "B", Some(3)).await;
    street.tell_in(fence, "fence", "A", None).await;
    street.tell_in(bug, "bug", BUG, None).await;
    street.tell_in(well, "well", "A", None).await;
    all_queue_up().await;
    sqlx::query("UPDATE compline.checkpoint SET epoch = epoch + 1 WHERE partition = $1")
        .bind(fence.0)
        .execute(&mut *held)
        .await
        .unwrap();
    held.commit().await.unwrap();

    street.reached_in(well, 1).await;
    street.reached_in(poison, 2).await;
    street.reached_in(fence, 1).await;
    let reason = running.stopped_in(hole).await;
    assert!(reason.contains("output 2 of ad is missing"), "{reason}");
    let reason = running.stopped_in(bug).await;
    assert!(reason.contains("panicked"), "{reason}");
    running.stop().await;

    let rows = street.rows().await;
    let ads: Vec<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(ads, ["beside", "fence", "first", "hole", "well"]);
    assert_eq!(rows["hole"].1, "A ", "up to the hole");
    assert_eq!(street.next_offset_of(bug).await, 0);
}

/// A redrive, for one, holds the fence of the partition that it works on.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_is_held_makes_one_partition_wait() {
    let street = Street::open().await;
    let running = street.start(100);
    running.follows_all().await;

    let mut conn = street.conn().await;
    let mut held = conn.begin().await.unwrap();
    sqlx::query("SELECT FROM compline.checkpoint WHERE partition = 1 FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    street.tell_in(Partition(1), "held", "A", None).await;
    somebody_waits(&street).await;
    let began = Instant::now();
    for offset in 1..=3 {
        street.tell_in(Partition(2), "beside", "A", None).await;
        street.reached_in(Partition(2), offset).await;
    }
    assert!(
        began.elapsed() < WRITER_IDLE_TIMEOUT,
        "nobody gave up waiting for the fence meanwhile"
    );
    held.rollback().await.unwrap();
    street.reached_in(Partition(1), 1).await;
    running.stop().await;
}
