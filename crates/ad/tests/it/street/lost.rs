//! The database is lost: what was told at once, by a connection, or by the timer is
//! told once all the same.

use compline_event::TenantId;

use super::{Street, ago, empty_database, thousands};
use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_brought_it_out_is_not_told_again() {
    const PENDING: &str = "SELECT count(*) FROM engine_ad.pending";
    let mut street = Street::open().await;
    let running = street.start();
    // Three that wait: for nobody, for a connection, and for too many at once.
    street
        .append("7", webhook(0, ago(40), relayed("7", T, "9", "A")))
        .await;
    let odd = r#"{"field":"brand_new"},{"field":"ad_status","value":{"ad_id":"9","status":"DISAPPROVED"}}"#;
    street
        .append("5", webhook(1, ago(20), body("ad_account", "5", T, odd)))
        .await;
    for number in 0..3 {
        street
            .append("6", webhook(2 + number, ago(19), thousands("6", number)))
            .await;
    }
    // The first turn of the timer may have ended the waiting of the first.
    street
        .until(
            "SELECT count(*) FROM engine_ad.pending WHERE account_id <> '7'",
            3_001,
        )
        .await;
    street.append("5", connect(0, ago(18), ONE, "5")).await;
    street.append("6", connect(1, ago(17), ONE, "6")).await;
    // Between two tenants' connections no order is promised.
    street.settled().await;
    street.append("5", connect(2, ago(16), TWO, "5")).await;
    street.settled().await;
    // Told at once, to both; the account's own status is an input again.
    street
        .append("5", webhook(5, ago(15), relayed("5", T + 1, "9", "ACTIVE")))
        .await;
    let disabled =
        r#"{"field":"ad_account","value":{"id":"5","account_status":2,"disable_reason":1}}"#;
    street
        .append(
            "5",
            webhook(6, ago(14), body("application", "1", T, disabled)),
        )
        .await;
    street.settled().await;
    running.stop().await;
    // The timer's turn: what is owed, what has expired.
    let running = street.start();
    street.until(PENDING, 0).await;
    street.settled().await;
    running.stop().await;
    let told = street.told().await;
    let of =
        |tenant: TenantId, event: &str| told.values().filter(|it| **it == (tenant, event)).count();
    assert_eq!(of(TenantId::OPERATOR, "WebhookExpired"), 1);
    assert_eq!(of(TenantId::OPERATOR, "WebhookUnrecognized"), 1);
    assert_eq!(of(ONE, "AdStatusChanged"), 3, "{told:#?}");
    assert_eq!(of(TWO, "AdStatusChanged"), 1);
    assert_eq!(of(TWO, "AccountStatusChanged"), 1);
    assert_eq!(of(ONE, "NotificationRaised"), 3);

    street.postgres = empty_database().await;
    let (first, second) = (street.start(), street.start());
    street.settled().await;
    street.until(PENDING, 0).await;
    street.until("SELECT count(*) FROM engine.told", 0).await;
    street.settled().await;
    assert_eq!(street.told().await, told);
    // It knows again what it knew.
    street
        .append("5", webhook(7, ago(1), relayed("5", T + 2, "9", "ACTIVE")))
        .await;
    street
        .append("5", webhook(8, ago(1), relayed("5", T + 3, "9", "PAUSED")))
        .await;
    street.settled().await;
    first.stop().await;
    second.stop().await;
    let statuses = street.statuses_told().await;
    assert_eq!((statuses[&ONE], statuses[&TWO]), (4, 2), "of PAUSED alone");
}
