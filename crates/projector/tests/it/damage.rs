//! A disk that has changed what the log holds: its partition stands still, for no key is to blame
//! and no retry mends it.

use std::{fs, path::PathBuf, process::Command};

use compline_event::Partition;

use crate::street::{PARTITION, Street};

const ELSEWHERE: Partition = Partition(1);

/// The files of the ad topic that hold anything.
fn segments(street: &Street) -> Vec<PathBuf> {
    let listed = Command::new("find")
        .arg(street.broker.folder())
        .args(["-path", "*/ad~*", "-name", "*.log", "-size", "+0"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().map(PathBuf::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_stops_its_partition_and_parks_nothing() {
    let street = Street::open().await;
    street.tell("ad1", "A", None).await;
    let [segment] = &segments(&street)[..] else {
        panic!("one partition holds one record");
    };
    let first = fs::read(segment).unwrap().len();
    street.tell("ad1", "B", None).await;
    street.tell("ad1", "C", None).await;
    street.tell_in(ELSEWHERE, "ad2", "A", None).await;
    let mut bytes = fs::read(segment).unwrap();
    bytes[first + 70] ^= 1;
    fs::write(segment, &bytes).unwrap();

    let running = street.start(100);
    let reason = running.stopped().await;
    assert!(reason.contains("ad/0@1 is damaged"), "{reason}");
    assert!(reason.contains("docs/operations.md"), "{reason}");
    assert_eq!(street.next_offset_of(PARTITION).await, 1);
    street.reached_in(ELSEWHERE, 1).await;
    street.tell_in(ELSEWHERE, "ad2", "B", None).await;
    street.reached_in(ELSEWHERE, 2).await;
    running.stop().await;

    let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM compline.parked_key")
        .fetch_one(&mut street.conn().await)
        .await
        .unwrap();
    assert_eq!(parked, 0);

    // Mended from a copy of the disk, it goes on where it stood.
    bytes[first + 70] ^= 1;
    fs::write(segment, &bytes).unwrap();
    let running = street.start(100);
    street.reached(3).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (3, "A B C ".to_owned()));
}

/// Nothing comes behind it, so a reader that only waits would wait for ever, and say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_applied_last_and_cut_out_is_missed() {
    let mut street = Street::open().await;
    street.tell("ad1", "A", None).await;
    street.tell("ad1", "B", None).await;
    let running = street.start(100);
    street.reached(2).await;
    running.stop().await;
    street.broker.stop().await;
    let segment = &segments(&street)[0];
    let mut bytes = fs::read(segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(segment, &bytes).unwrap();
    street.broker.repair();
    street.broker.start().await;

    let running = street.start(100);
    let reason = running.stopped().await;
    assert!(reason.contains("ad/0@1"), "{reason}");
    assert!(reason.contains("cut out of the log"), "{reason}");
    running.stop().await;

    // As docs/operations.md has it.
    sqlx::query(
        "UPDATE compline.checkpoint SET last_event_id = NULL WHERE topic = 'ad' AND partition = 0",
    )
    .execute(&mut street.conn().await)
    .await
    .unwrap();
    street.tell("ad1", "C", None).await;
    let running = street.start(100);
    street.reached(3).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (3, "A B C ".to_owned()));
}
