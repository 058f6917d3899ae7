//! The database is lost, or older than the log: what was told is not told again,
//! what was not is, and numbers go on behind the last one told.

use compline_event::Topic;
use compline_testkit::verify;

use crate::{
    counting::{Counting, HUGE},
    street::Street,
    telling::{ACCOUNTS, exactly_once},
};

/// The verifier reads the numbers too: none twice, no hole.
async fn as_by_a_second_fold(street: &Street, inputs: usize) {
    let repeats = exactly_once(street, inputs).await;
    assert_eq!(repeats, 0, "nothing was told under an old number");
    let outputs = verify::engine(&street.log, &Counting, Topic::Account).await;
    assert_eq!(outputs.unwrap(), 2 * inputs);
}

async fn hear_all(street: &Street, inputs: usize) {
    for number in 0..inputs {
        street.hear(&format!("account{}", number % ACCOUNTS)).await;
    }
}

async fn ids_that_wait(street: &Street) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM engine.told")
        .fetch_one(&mut street.conn().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_folded_from_the_log_by_several() {
    let mut street = Street::open().await;
    let running = street.start();
    hear_all(&street, 50).await;
    street.told_all(50).await;
    running.stop().await;

    street.lose_database().await;
    let (first, second) = (street.start(), street.start());
    street.told_all(50).await;
    hear_all(&street, 25).await;
    street.told_all(75).await;
    assert_eq!(ids_that_wait(&street).await, 0, "each was decided again");
    first.stop().await;
    second.stop().await;
    as_by_a_second_fold(&street, 75).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_catches_up_with_the_log() {
    let mut street = Street::open().await;
    let running = street.start();
    hear_all(&street, 20).await;
    street.told_all(20).await;
    running.stop().await;
    let backup = street.postgres.copy().await;
    let running = street.start();
    hear_all(&street, 30).await;
    street.told_all(50).await;
    running.stop().await;

    street.postgres = backup;
    // It dies before it has caught up, and the next one goes on.
    let running = street.start();
    street.told_some(25).await;
    running.kill();
    let running = street.start();
    street.told_all(50).await;
    hear_all(&street, 25).await;
    street.told_all(75).await;
    running.stop().await;
    as_by_a_second_fold(&street, 75).await;
}

/// Nobody claims anything anew: the next batch finds its checkpoint elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_back_under_a_running_engine_is_noticed() {
    let street = Street::open().await;
    let running = street.start();
    hear_all(&street, 20).await;
    street.told_all(20).await;
    let back = "UPDATE engine.counter SET last_number = 0;
                UPDATE engine.relay SET acked_offset = -1;
                UPDATE compline.checkpoint SET next_offset = 0, last_event_id = NULL;
                DELETE FROM engine_counting.heard";
    sqlx::raw_sql(back)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    hear_all(&street, 30).await;
    street.told_all(50).await;
    running.stop().await;
    as_by_a_second_fold(&street, 50).await;
}

/// Of one input, the outputs of one partition came to the log and those of another
/// did not; then nobody is left who knows.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_on_one_partition_only_is_told_on_the_other() {
    let mut street = Street::open().await;
    let running = street.start();
    hear_all(&street, 20).await;
    street.told_all(20).await;
    // From here on one output partition is decided over and never told.
    let partition = street.partition_of("account1-left");
    let forget = format!(
        "CREATE FUNCTION engine.forget() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RETURN NULL; END';
         CREATE TRIGGER forget BEFORE INSERT ON engine.outbox FOR EACH ROW
             WHEN (NEW.partition = {partition}) EXECUTE FUNCTION engine.forget()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(forget))
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    hear_all(&street, 20).await;
    street.told_all(40).await;
    running.stop().await;
    let (told, _) = street.told().await;
    assert_eq!(told["account1-left"].len(), 4, "the rest was never told");
    let whole = told.values().filter(|statuses| statuses.len() == 8);
    assert!(whole.count() > 2, "{told:?}");

    street.lose_database().await;
    let running = street.start();
    street.told_all(40).await;
    hear_all(&street, 10).await;
    street.told_all(50).await;
    running.stop().await;
    as_by_a_second_fold(&street, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_parked_parks_again() {
    let mut street = Street::open().await;
    let running = street.start();
    street.hear(HUGE).await;
    street.hear("account1").await;
    street.told_all(1).await;
    street.parked(1).await;
    running.stop().await;

    street.lose_database().await;
    let running = street.start();
    street.hear(HUGE).await;
    street.hear("account1").await;
    street.told_all(2).await;
    street.parked(2).await;
    running.stop().await;
    let (told, repeats) = street.told().await;
    assert_eq!((told.len(), repeats), (2, 0));
    assert_eq!(told["account1-left"], ["1", "2"]);
}
