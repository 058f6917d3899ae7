//! Between the topics: connections first, and what stands still beside what goes on.

use std::time::Duration;

use compline_ad::AdEngine;
use compline_event::Topic;
use compline_testkit::verify;

use super::{Street, ago, key_of, place_of, thousands};
use crate::world::*;

/// The engine's checkpoint of a partition remembers another record than the log
/// holds, as if the log had been made anew. Twice, and all is as before.
fn alter(topic: Topic, key: &str) -> String {
    let (topic, partition) = place_of(topic, key);
    format!(
        "UPDATE compline.checkpoint
         SET last_event_id = translate(last_event_id::text, '0123456789', '9876543210')::uuid
         WHERE projection = 'engine:ad' AND topic = '{topic}' AND partition = {partition}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_connected_before_a_webhook_is_told_of_it() {
    let street = Street::open().await;
    // Whatever stands on `account` is decided over long after the webhooks, unless
    // these wait.
    street
        .execute(
            "CREATE FUNCTION compline.late() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END';
             CREATE TRIGGER late BEFORE UPDATE ON compline.checkpoint FOR EACH ROW
                 WHEN (NEW.topic = 'account' AND NEW.next_offset <> OLD.next_offset)
                 EXECUTE FUNCTION compline.late()",
        )
        .await;
    // Who waits may be in another process than what is waited for.
    let (first, second) = (street.start(), street.start());
    street.append("5", connect(0, ago(9), ONE, "5")).await;
    street
        .append("5", webhook(0, ago(8), relayed("5", T, "9", "A")))
        .await;
    street.settled().await;
    // A second tenant; then the first one goes.
    street.append("5", connect(1, ago(7), TWO, "5")).await;
    street
        .append("5", webhook(1, ago(6), relayed("5", T + 1, "9", "B")))
        .await;
    street.append("5", disconnect(2, ago(5), ONE, "5")).await;
    street
        .append("5", webhook(2, ago(4), relayed("5", T + 2, "9", "C")))
        .await;
    // Two tenants at once.
    street.append("6", connect(3, ago(3), TWO, "6")).await;
    street.append("6", connect(4, ago(3), ONE, "6")).await;
    street
        .append("6", webhook(3, ago(2), relayed("6", T, "8", "A")))
        .await;
    street.settled().await;
    first.stop().await;
    second.stop().await;
    let told = street.statuses_told().await;
    assert_eq!((told[&ONE], told[&TWO]), (3, 3), "A B, A and B C, A");
    verify::engine(&street.log, &AdEngine, Topic::Account)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_wait_in_sight_for_connections_that_stand_still() {
    let street = Street::open().await;
    let running = street.start();
    street.append("5", connect(0, ago(9), ONE, "5")).await;
    street
        .append("5", webhook(0, ago(8), relayed("5", T, "9", "A")))
        .await;
    street.settled().await;
    running.stop().await;

    let account = key_of(ONE, "5");
    street.execute(alter(Topic::Account, &account)).await;
    street.append("5", disconnect(1, ago(7), ONE, "5")).await;
    street
        .append("5", webhook(1, ago(6), relayed("5", T + 1, "9", "B")))
        .await;
    let running = street.start();
    let reason = running.waits(Topic::WebhookMeta).await;
    let (_, partition) = place_of(Topic::Account, &account);
    assert_eq!(
        reason,
        format!("account/{partition} is decided up to 1 of 2")
    );
    running.stands_still("made anew").await;
    // It holds up neither the end of a process...
    running.stop().await;

    // ... nor what comes when somebody has looked.
    street.execute(alter(Topic::Account, &account)).await;
    let running = street.start();
    street.settled().await;
    running.stop().await;
    assert_eq!(street.statuses_told().await[&ONE], 1, "of A, and not of B");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_partition_that_stands_still_the_timer_goes_on() {
    const OWED: &str = "SELECT count(*) FROM engine_ad.pending WHERE owed_to <> '{}'";
    const NOBODYS: &str = "SELECT count(*) FROM engine_ad.pending WHERE owed_to = '{}'";
    let street = Street::open().await;
    let running = street.start();
    for body in 0..5 {
        street
            .append("5", webhook(body, ago(3), thousands("5", body)))
            .await;
    }
    street
        .append("7", webhook(5, ago(3), relayed("7", T, "9", "A")))
        .await;
    street.until(NOBODYS, 5_001).await;
    running.stop().await;

    // As a connection leaves them that is followed by a stop.
    let owe = format!(
        "UPDATE engine_ad.pending SET owed_to = ARRAY['{ONE}'::uuid] WHERE account_id = '5'"
    );
    street.execute(owe).await;
    let older = "UPDATE engine_ad.pending SET recorded_at = recorded_at - interval '40 hours'
                 WHERE account_id = '7'";
    street.execute(older).await;
    street.execute(alter(Topic::WebhookMeta, "7")).await;
    street.append("7", webhook(6, ago(1), "nonsense")).await;
    let running = street.start();
    running.stands_still("made anew").await;
    // All but the first of them say nothing; it is one turn's work all the same.
    let one_turn = Duration::from_secs(40);
    let drained = tokio::time::timeout(one_turn, street.until(OWED, 0)).await;
    drained.expect("the timer does not wait for its next turn");
    assert_eq!(
        street.count(NOBODYS).await,
        1,
        "nobody knows what comes for it"
    );
    running.stop().await;

    street.execute(alter(Topic::WebhookMeta, "7")).await;
    let running = street.start();
    street.until(NOBODYS, 0).await;
    running.stop().await;
}
