//! What an engine will not do.

use compline_engine::EngineError;

use crate::{counting::HUGE, street::Street};

#[tokio::test(flavor = "multi_thread")]
async fn tables_older_than_the_log_are_noticed_before_anything_is_decided() {
    let street = Street::open().await;
    let running = street.start();
    for _ in 0..10 {
        street.hear("account1").await;
    }
    street.told_all(10).await;
    running.stop().await;
    // As after a restore from a backup that was made before.
    let older = "UPDATE engine.counter SET last_number = 0;
                 UPDATE engine.relay SET acked_offset = -1;
                 UPDATE compline.checkpoint SET next_offset = 0, last_event_id = NULL;
                 DELETE FROM engine_counting.heard";
    sqlx::raw_sql(older)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    let refused = street.start().refused().await;
    let EngineError::Recovery { source, .. } = refused else {
        panic!("{refused}");
    };
    assert!(
        source.to_string().contains("older than the log"),
        "{source}"
    );
    let (told, repeats) = street.told().await;
    assert_eq!(
        (told["account1-left"].len(), repeats),
        (10, 0),
        "nothing was added"
    );
}

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
