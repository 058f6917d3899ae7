//! Promise 5: a poison event stops only its key.

use sqlx::Row as _;

use crate::{
    street::Street,
    tally::{BUG, REFUSED, SLOW, UNFOLDABLE, UNLOADABLE},
};

/// (key's ad, first offset parked, records parked, reason).
async fn parked(street: &Street) -> Vec<(String, i64, i64, String)> {
    let rows = sqlx::query(
        "SELECT convert_from(k.key, 'UTF8'), k.first_offset, count(r.record_offset), k.reason
         FROM compline.parked_key k JOIN compline.parked_record r
              USING (projection, generation, topic, partition, key)
         GROUP BY k.key, k.first_offset, k.reason ORDER BY k.first_offset",
    )
    .fetch_all(&mut street.conn().await)
    .await
    .unwrap();
    rows.iter()
        .map(|row| {
            let key: String = row.get(0);
            let ad = key.split('/').next_back().unwrap().to_owned();
            (ad, row.get(1), row.get(2), row.get(3))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_folded_or_stored_parks_its_key_and_no_other() {
    let street = Street::open().await;
    let statuses = [
        ("ad1", "A"),
        ("ad2", UNFOLDABLE),
        ("ad3", "A"),
        ("ad3", REFUSED),
        ("ad1", "B"),
        ("ad2", "B"),
        ("ad3", "C"),
        ("ad4", "A"),
    ];
    for (number, (ad, status)) in (1..).zip(statuses) {
        street.tell(ad, status, Some(number)).await;
    }
    let running = street.start(100);
    street.reached(8).await;
    // In a later batch, over a restart: what is parked stays parked.
    running.stop().await;
    street.tell("ad3", "D", Some(9)).await;
    street.tell("ad4", "B", Some(10)).await;
    let running = street.start(100);
    street.reached(10).await;
    running.stop().await;

    let rows = street.rows().await;
    assert_eq!(rows["ad1"], (2, "A B ".to_owned()));
    assert_eq!(rows["ad3"], (1, "A ".to_owned()), "up to its poison");
    assert_eq!(rows["ad4"], (2, "A B ".to_owned()));
    assert!(!rows.contains_key("ad2"));

    let parked = parked(&street).await;
    assert_eq!(parked.len(), 2, "{parked:?}");
    let (ad, first, records, reason) = &parked[0];
    assert_eq!((ad.as_str(), *first, *records), ("ad2", 1, 2));
    assert_eq!(reason, "this status cannot be folded");
    let (ad, first, records, reason) = &parked[1];
    assert_eq!((ad.as_str(), *first, *records), ("ad3", 3, 3));
    assert!(reason.contains("tally_statuses_check"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_even_be_looked_for_parks_its_key() {
    let street = Street::open().await;
    for (ad, status) in [("ad1", "A"), ("ad2", UNLOADABLE), ("ad1", "B")] {
        street.tell(ad, status, None).await;
    }
    let running = street.start(100);
    street.reached(3).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (2, "A B ".to_owned()));
    let parked = parked(&street).await;
    assert_eq!((parked[0].0.as_str(), parked[0].1), ("ad2", 1));
}

/// A batch that Postgres will never give the time for is cut until it passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_takes_too_long_is_tried_with_less() {
    let street = Street::open().await;
    for number in 0..16 {
        street.tell(&format!("ad{number}"), SLOW, None).await;
    }
    let running = street.start(16);
    street.reached(16).await;
    running.stop().await;
    assert_eq!(street.rows().await.len(), 16);
    assert!(parked(&street).await.is_empty(), "time is no poison");
}

/// A bug in a fold stops its partition, and says so; it must not look alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_panics_stops_its_partition() {
    let street = Street::open().await;
    street.tell("ad1", "A", None).await;
    street.tell("ad1", BUG, None).await;
    let running = street.start(1);
    let reason = running.stopped().await;
    assert!(reason.contains("panicked"), "{reason}");
    running.stop().await;
    assert_eq!(street.next_offset().await, 1, "nothing of it was written");
}

/// Read as this build's version, its bytes might say something else.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_build_has_written_parks_its_key() {
    let street = Street::open().await;
    street.tell("ad1", "A", None).await;
    street.tell("ad2", "A", None).await;
    street.tell_newer("ad2", "B").await;
    street.tell("ad2", "C", None).await;
    street.tell("ad1", "B", None).await;
    let running = street.start(100);
    street.reached(5).await;
    running.stop().await;

    let rows = street.rows().await;
    assert_eq!(rows["ad1"], (2, "A B ".to_owned()));
    assert_eq!(rows["ad2"], (1, "A ".to_owned()));
    let parked = parked(&street).await;
    let (ad, first, records, reason) = &parked[0];
    assert_eq!((ad.as_str(), *first, *records), ("ad2", 2, 2));
    assert!(
        reason.contains("AdStatusChanged has version 2") && reason.contains("a newer build"),
        "{reason}"
    );
}
