//! Promise 2: each event changes each row once, whoever dies or comes back.

use std::time::Duration;

use crate::street::Street;

/// Owners are cut down in the middle of whatever they do, and others follow at
/// once; small batches make many middles.
#[tokio::test(flavor = "multi_thread")]
async fn owners_that_die_lose_and_double_nothing() {
    let street = Street::open().await;
    let told = 300;
    let telling = async {
        for number in 0..told {
            street
                .tell(&format!("ad{}", number % 7), &number.to_string(), None)
                .await;
        }
    };
    let dying = async {
        for life in 0..6_u64 {
            let running = street.start(5);
            tokio::time::sleep(Duration::from_millis(150 + 70 * life)).await;
            // Dropped without a goodbye: its tasks end at their next await.
            running.kill();
        }
    };
    tokio::join!(telling, dying);
    let last = street.start(50);
    street.reached(told).await;
    last.stop().await;
    exactly_once(&street, told).await;
}

pub(crate) async fn exactly_once(street: &Street, told: i64) {
    let rows = street.rows().await;
    let events: i64 = rows.values().map(|(events, _)| events).sum();
    assert_eq!(events, told);
    for (ad, (_, statuses)) in rows {
        let index: i64 = ad.trim_start_matches("ad").parse().unwrap();
        let expected: String = (0..told)
            .filter(|number| number % 7 == index)
            .map(|number| format!("{number} "))
            .collect();
        assert_eq!(statuses, expected, "{ad}: in order, each once");
    }
}

/// Somebody claimed the partition while its owner was busy: the owner's next batch
/// is refused, and it claims again only because the group still gives it the
/// partition.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_epoch_is_over_writes_nothing_under_it() {
    let street = Street::open().await;
    let running = street.start(3);
    for number in 0..100 {
        street
            .tell(&format!("ad{}", number % 7), &number.to_string(), None)
            .await;
        if number % 20 == 10 {
            let mut conn = street.conn().await;
            sqlx::query("UPDATE compline.checkpoint SET epoch = epoch + 1")
                .execute(&mut conn)
                .await
                .unwrap();
        }
    }
    street.reached(100).await;
    running.stop().await;
    exactly_once(&street, 100).await;
}

/// A crash of Postgres loses the tail of what was committed with
/// `synchronous_commit = off`: rows and checkpoint together. The owner, alive all
/// the while, must go back to where Postgres is.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_lost_its_tail_is_followed_back() {
    let street = Street::open().await;
    let running = street.start(10);
    for number in 0..50 {
        street
            .tell(&format!("ad{}", number % 7), &number.to_string(), None)
            .await;
    }
    street.reached(50).await;
    street.lose_all_rows().await;
    for number in 50..60 {
        street
            .tell(&format!("ad{}", number % 7), &number.to_string(), None)
            .await;
    }
    street.reached(60).await;
    running.stop().await;
    exactly_once(&street, 60).await;
}

/// Nothing new comes that would show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_is_lost_under_an_idle_owner_is_applied_again() {
    let street = Street::open().await;
    let running = street.start(10);
    for number in 0..50 {
        street
            .tell(&format!("ad{}", number % 7), &number.to_string(), None)
            .await;
    }
    street.reached(50).await;
    street.lose_all_rows().await;
    street.reached(50).await;
    running.stop().await;
    exactly_once(&street, 50).await;
}
