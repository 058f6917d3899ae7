//! Decided once, told at least once, taken once.

use std::time::Duration;

use crate::street::Street;

pub(crate) const ACCOUNTS: usize = 5;

pub(crate) async fn exactly_once(street: &Street, inputs: usize) -> usize {
    let (told, repeats) = street.told().await;
    assert_eq!(told.len(), 2 * ACCOUNTS);
    for (ad, statuses) in told {
        let expected: Vec<String> = (1..=inputs / ACCOUNTS).map(|n| n.to_string()).collect();
        assert_eq!(statuses, expected, "{ad}: in order, each once");
    }
    repeats
}

/// Runners die, the broker goes away and comes back, and every decision is told
/// under the number that it was given first.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_told_once_whoever_dies() {
    let mut street = Street::open().await;
    let inputs = 150;
    for life in 0..5_u64 {
        let running = street.start();
        for number in 0..inputs / 5 {
            street.hear(&format!("account{}", number % ACCOUNTS)).await;
        }
        tokio::time::sleep(Duration::from_millis(100 + 90 * life)).await;
        if life == 2 {
            street.broker.crash();
            tokio::time::sleep(Duration::from_millis(300)).await;
            street.broker.start().await;
        }
        running.kill();
    }
    let last = street.start();
    street.told_all(i64::try_from(inputs).unwrap()).await;
    last.stop().await;
    exactly_once(&street, inputs).await;
}

/// A relay that died between append and delete tells again; numbers make it
/// harmless.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_deletion_is_told_again_under_the_same_number() {
    let street = Street::open().await;
    let mut conn = street.conn().await;
    // What the relay deletes is kept aside.
    let keep = "CREATE TABLE engine.kept AS SELECT * FROM engine.outbox;
        CREATE FUNCTION engine.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN INSERT INTO engine.kept SELECT OLD.*; RETURN OLD; END';
        CREATE TRIGGER keep BEFORE DELETE ON engine.outbox
            FOR EACH ROW EXECUTE FUNCTION engine.keep();";
    sqlx::raw_sql(keep).execute(&mut conn).await.unwrap();

    let running = street.start();
    for number in 0..20 {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
    street.told_all(20).await;
    running.stop().await;
    let brought_back = "DROP TRIGGER keep ON engine.outbox;
        INSERT INTO engine.outbox SELECT * FROM engine.kept";
    sqlx::raw_sql(brought_back)
        .execute(&mut conn)
        .await
        .unwrap();

    let running = street.start();
    for number in 0..20 {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
    street.told_all(40).await;
    running.stop().await;
    assert_eq!(
        exactly_once(&street, 40).await,
        40,
        "told again, and dropped"
    );
}

/// Two processes share the inputs; one of them relays, and the other takes over.
#[tokio::test(flavor = "multi_thread")]
async fn two_runners_share_the_work_and_the_second_takes_over() {
    let street = Street::open().await;
    let first = street.start();
    let second = street.start();
    for number in 0..50 {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
    street.told_all(50).await;
    first.stop().await;
    for number in 0..50 {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
    street.told_all(100).await;
    second.stop().await;
    exactly_once(&street, 100).await;
}
