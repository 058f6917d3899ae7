//! The database is lost, or older than the log: what was told is not told again,
//! what was not is, and numbers go on behind the last one told.

use std::{fs::File, os::unix::fs::FileExt as _, time::Duration};

use compline_event::Topic;
use compline_testkit::verify;
use tokio_util::sync::CancellationToken;

use crate::{
    counting::{Counting, HUGE},
    street::{Street, runner},
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

/// An engine that starts waits for a database that will not have it for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_for_now_begins_anew() {
    let mut street = Street::open().await;
    let running = street.start();
    hear_all(&street, 10).await;
    street.told_all(10).await;
    running.stop().await;

    street.lose_database().await;
    let refuse = "CREATE SEQUENCE engine.trials;
        CREATE FUNCTION engine.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN
                 IF nextval(''engine.trials'') < 3 THEN
                     RAISE EXCEPTION ''not now'' USING ERRCODE = ''40001'';
                 END IF;
                 RETURN NEW;
             END';
        CREATE TRIGGER refuse BEFORE UPDATE ON engine.relay
            FOR EACH ROW EXECUTE FUNCTION engine.refuse()";
    sqlx::raw_sql(refuse)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
    let running = street.start();
    street.told_all(10).await;
    running.stop().await;
    as_by_a_second_fold(&street, 10).await;
}

/// In what every output partition holds; done twice it is sound again.
fn turn_a_bit(street: &Street) {
    let topics = street.broker.folder().join("topics").read_dir().unwrap();
    let is_ad = |name: &str| name.starts_with("ad~");
    let ad = topics
        .map(|entry| entry.unwrap())
        .find(|entry| is_ad(&entry.file_name().to_string_lossy()))
        .unwrap();
    for partition in ad.path().read_dir().unwrap() {
        let Ok(folder) = partition.unwrap().path().read_dir() else {
            continue;
        };
        let files = folder.map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|kind| kind == "log")) {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            if file.read_at(&mut byte, 70).unwrap() == 1 {
                file.write_all_at(&[byte[0] ^ 1], 70).unwrap();
            }
        }
    }
}

/// What it has told, nobody knows: so nothing is decided, and somebody has to look.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_and_is_damaged_stops_the_partitions_and_is_named() {
    let mut street = Street::open().await;
    let running = street.start();
    hear_all(&street, 20).await;
    street.told_all(20).await;
    running.stop().await;

    street.lose_database().await;
    turn_a_bit(&street);
    let engine = runner(&street.log, street.postgres.database());
    let (status, stop) = (engine.status(), CancellationToken::new());
    let running = tokio::spawn(engine.run(stop.clone()));
    let stopped = async {
        loop {
            if let Some(reason) = status.stopped() {
                break reason;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(60), stopped).await;
    let reason = reason.expect("it stops");
    assert!(reason.contains("is damaged"), "{reason}");
    assert!(reason.contains("\"A corrupt log\""), "{reason}");
    stop.cancel();
    running.await.unwrap().unwrap();

    turn_a_bit(&street);
    let running = street.start();
    street.told_all(20).await;
    running.stop().await;
    as_by_a_second_fold(&street, 20).await;
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

/// The relay still has its connection; who draws numbers must see it.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_go_back_under_a_running_engine_are_not_drawn_twice() {
    a_copy_takes_over(CopyOf::Numbers).await;
}

/// The relay comes first, and tells again what the copy takes for untold.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_outbox_tells_again_hides_nothing() {
    a_copy_takes_over(CopyOf::NumbersAndOutbox).await;
}

#[derive(PartialEq)]
enum CopyOf {
    Numbers,
    NumbersAndOutbox,
}

/// A copy without the last commit takes over. Of all partitions, only the one of that
/// commit finds its checkpoint elsewhere; another one is the next that draws numbers.
async fn a_copy_takes_over(copied: CopyOf) {
    let street = Street::open().await;
    // Inputs of two partitions, outputs of one.
    let left = |account: &str| street.partition_of(&format!("{account}-left"));
    let names = (0..10_000).map(|number| format!("idle{number}"));
    let idle = names
        .filter(|name| left(name) == left("last"))
        .find(|name| street.heard_on(name) != street.heard_on("last"))
        .unwrap();
    let mut conn = street.conn().await;
    let keep = "CREATE SCHEMA copy;
        CREATE TABLE copy.outbox AS SELECT * FROM engine.outbox;
        CREATE FUNCTION copy.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN INSERT INTO copy.outbox SELECT OLD.*; RETURN OLD; END';
        CREATE TRIGGER keep BEFORE DELETE ON engine.outbox
            FOR EACH ROW EXECUTE FUNCTION copy.keep()";
    sqlx::raw_sql(keep).execute(&mut conn).await.unwrap();
    let running = street.start();
    for account in ["last", &idle] {
        street.hear(account).await;
    }
    street.told_all(2).await;
    let copy = "DROP TRIGGER keep ON engine.outbox;
        CREATE TABLE copy.counter AS SELECT * FROM engine.counter;
        CREATE TABLE copy.relay AS SELECT * FROM engine.relay;
        CREATE TABLE copy.checkpoint AS SELECT * FROM compline.checkpoint;
        CREATE TABLE copy.heard AS SELECT * FROM engine_counting.heard";
    let take_over = "UPDATE engine.counter SET last_number = copy.last_number FROM copy.counter AS copy
            WHERE (copy.topic, copy.partition) = (counter.topic, counter.partition);
        UPDATE engine.relay SET acked_offset = copy.acked_offset FROM copy.relay AS copy
            WHERE (copy.topic, copy.partition) = (relay.topic, relay.partition);
        UPDATE compline.checkpoint SET next_offset = copy.next_offset, last_event_id = copy.last_event_id
            FROM copy.checkpoint AS copy
            WHERE (copy.topic, copy.partition) = (checkpoint.topic, checkpoint.partition);
        UPDATE engine_counting.heard SET inputs = copy.inputs FROM copy.heard AS copy
            WHERE copy.account_id = heard.account_id";
    let old_outbox = "INSERT INTO engine.outbox SELECT * FROM copy.outbox;
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'compline_engine'";
    sqlx::raw_sql(copy).execute(&mut conn).await.unwrap();
    street.hear("last").await;
    street.told_all(3).await;
    // Statements that are sent together are one transaction.
    sqlx::raw_sql(take_over).execute(&mut conn).await.unwrap();

    let mut expected = 0;
    if copied == CopyOf::NumbersAndOutbox {
        sqlx::raw_sql(old_outbox).execute(&mut conn).await.unwrap();
        street.told_all(2).await;
        expected = 4;
    }
    street.hear(&idle).await;
    street.told_all(3).await;
    street.hear("last").await;
    street.told_all(5).await;
    running.stop().await;
    let (told, repeats) = street.told().await;
    assert_eq!(told[&format!("{idle}-left")], ["1", "2"]);
    assert_eq!(told["last-left"], ["1", "2", "3"]);
    assert_eq!(
        repeats, expected,
        "nothing new was told under an old number"
    );
    let outputs = verify::engine(&street.log, &Counting, Topic::Account).await;
    assert_eq!(outputs.unwrap(), 10);
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
