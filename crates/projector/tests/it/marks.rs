//! Promise 4, the part that numbers keep.

use crate::street::Street;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_output_is_taken_once_over_restarts() {
    let street = Street::open().await;
    for (status, number) in [("A", 1), ("B", 2), ("B again", 2), ("A again", 1), ("C", 3)] {
        street.tell("ad1", status, Some(number)).await;
    }
    let running = street.start(2);
    street.reached(5).await;
    running.stop().await;
    street.tell("ad1", "C again", Some(3)).await;
    street.tell("ad1", "D", Some(4)).await;
    let running = street.start(2);
    street.reached(7).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (4, "A B C D ".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_stops_the_partition_and_says_which() {
    let street = Street::open().await;
    for number in [1, 2, 4] {
        street.tell("ad1", "A", Some(number)).await;
    }
    // One record a batch: what stands before the hole is applied.
    let running = street.start(1);
    let reason = running.stopped().await;
    assert!(reason.contains("output 3 of ad is missing"), "{reason}");
    running.stop().await;
    assert_eq!(street.rows().await["ad1"].0, 2);
    assert_eq!(street.next_offset().await, 2);
}
