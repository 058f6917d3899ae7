//! What an engine will not do.

use crate::{counting::HUGE, street::Street};

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_no_topic_takes_parks_its_input() {
    let street = Street::open().await;
    let running = street.start();
    street.hear("account1").await;
    street.hear(HUGE).await;
    street.hear("account1").await;
    street.hear(HUGE).await;
    street.told_all(2).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let parked = loop {
        let parked: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT convert_from(k.key, 'UTF8'), k.reason, count(*)
             FROM compline.parked_key k JOIN compline.parked_record USING (projection, generation, topic, partition, key)
             GROUP BY 1, 2",
        )
        .fetch_all(&mut street.conn().await)
        .await
        .unwrap();
        if parked.first().is_some_and(|(_, _, records)| *records == 2) {
            break parked;
        }
        assert!(tokio::time::Instant::now() < deadline, "{parked:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    running.stop().await;
    let (key, reason, _) = &parked[0];
    assert!(key.ends_with(HUGE), "{key}");
    assert!(reason.contains("larger than topic ad takes"), "{reason}");
    let (told, _) = street.told().await;
    assert!(!told.contains_key("huge-left"));
}
