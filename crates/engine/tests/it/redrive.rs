//! Promise 5 for an engine: what was parked is decided over again, and told once.

use compline_engine::{EngineConfig, EngineRunner};
use compline_projector::{RedriveError, RedriveMode};
use compline_readmodel::park::desk;
use compline_testkit::tenant;

use crate::{counting::Counting, street::Street};

/// Another process redrives while the engine decides over other inputs.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_key_is_decided_again_and_told_in_order() {
    let street = Street::open().await;
    let running = street.start();
    street.hear("account1").await;
    street.told_all(1).await;
    park(&street, "account1").await;
    for _ in 0..3 {
        street.hear("account1").await;
    }
    street.parked(3).await;

    let database = street.postgres.database().clone();
    let tool = EngineRunner::new(
        Counting,
        street.log.clone(),
        database,
        &EngineConfig::default(),
    );
    let parked = desk::list(&mut street.conn().await)
        .await
        .unwrap()
        .remove(0);
    let redrive = |mode| tool.redrive(&parked.place, &parked.key, mode);
    assert_eq!(redrive(RedriveMode::Try).await.unwrap().records, 3);
    street.parked(3).await;
    let (redriven, ()) = tokio::join!(redrive(RedriveMode::Apply), async {
        for number in 0..30 {
            street.hear(&format!("other{}", number % 5)).await;
        }
    });
    assert_eq!(redriven.unwrap().records, 3);
    let again = redrive(RedriveMode::Apply).await;
    assert!(matches!(again, Err(RedriveError::NotParked)), "{again:?}");
    street.hear("account1").await;
    street.told_all(35).await;
    running.stop().await;

    let (told, repeats) = street.told().await;
    assert_eq!(told["account1-left"], ["1", "2", "3", "4", "5"]);
    assert_eq!(told["account1-right"], ["1", "2", "3", "4", "5"]);
    assert_eq!(repeats, 0);
}

/// Sets the account's key aside as from now on, as a failure would.
async fn park(street: &Street, account: &str) {
    sqlx::query(
        "INSERT INTO compline.parked_key
             (projection, generation, topic, partition, key, first_offset, reason, code_version)
         SELECT projection, generation, topic, partition, $1, next_offset, 'a test', 'test'
         FROM compline.checkpoint WHERE projection = 'engine:counting' AND partition = $2",
    )
    .bind(format!("{}/{account}", tenant(1)).into_bytes())
    .bind(street.heard_on(account).0)
    .execute(&mut street.conn().await)
    .await
    .unwrap();
}
