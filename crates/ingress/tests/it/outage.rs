//! A log that is not there, and comes back.

use std::time::{Duration, Instant};

use compline_event::Topic;

use crate::fixture::{self, META_SECRETS};
use crate::peer::{delivery, send};
use crate::street::{config, whole, within, without_log};

#[tokio::test]
async fn without_a_log_the_sender_is_told_to_come_again() {
    let mut config = config();
    config.delivery_timeout = Duration::from_millis(500);
    let street = without_log(config).await;
    let it = fixture::one("meta/ad-status.json", META_SECRETS[0]);
    let started = Instant::now();
    let answer = send(street.address, &delivery(it)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.body, "the delivery could not be stored");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_log_that_comes_back_takes_deliveries_again() {
    let mut config = config();
    config.delivery_timeout = Duration::from_secs(1);
    let (street, mut embedded) = whole(config).await;
    let it = fixture::one("meta/ad-status.json", META_SECRETS[0]);
    assert_eq!(send(street.address, &delivery(it)).await.status, 200);

    embedded.stop().await;
    let answer = send(street.address, &delivery(it)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("5"));

    embedded.start_again().await;
    let mut refused = 0;
    within(async {
        while send(street.address, &delivery(it)).await.status != 200 {
            refused += 1;
        }
    })
    .await;
    // Two were acknowledged; what was refused may have got in all the same.
    let records = street.records(Topic::WebhookMeta).await.len();
    assert!((2..=3 + refused).contains(&records), "{records} records");
    assert!(!street.served.is_finished(), "an absence is not the end");
}
