//! The laws of a projection, on histories of whatever stands in the trail.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

#[path = "../../../tenancy/tests/it/laws.rs"]
mod laws;

use bytes::Bytes;
use compline_activity::ActivityTrail;
use compline_event::{
    Event,
    account_events::{AccountConnected, AccountDisconnected},
    activity_events::{
        ActivityRecorded, NotificationRaised, NotificationRead, WebhookExpired, WebhookUnrecognized,
    },
    envelope_proto::Precondition,
};
use rand::{Rng, rngs::StdRng};

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold() {
    laws::Laws::open().await.hold::<ActivityTrail>(draw).await;
}

fn draw(rng: &mut StdRng) -> Event {
    let ad_account_id = rng.random_range(1..4).to_string();
    let notification_id = format!("n{}", rng.random_range(0..8));
    let precondition = Some(Precondition {
        request_id: Bytes::from(vec![rng.random_range(0..20); 16]),
        expected_version: rng.random_bool(0.5).then(|| rng.random_range(0..4)),
    });
    match rng.random_range(0..7) {
        0 => Event::ActivityRecorded(ActivityRecorded {
            kind: "ad.status_changed".into(),
            subject: format!("ads/{}", rng.random_range(0..5)),
            summary: "a\0b".into(),
            happened_at: None,
        }),
        1 => Event::NotificationRaised(NotificationRaised {
            notification_id,
            title: format!("title {}", rng.random::<u8>()),
            ..Default::default()
        }),
        2 => Event::NotificationRead(NotificationRead {
            notification_id,
            reader: format!("k{}", rng.random_range(1..3)),
            read_at: None,
        }),
        3 => Event::WebhookUnrecognized(WebhookUnrecognized {
            source: "meta".into(),
            field: format!("field {}", rng.random_range(0..3)),
            ..Default::default()
        }),
        4 => Event::WebhookExpired(WebhookExpired {
            ad_account_id,
            changes: rng.random_range(1..9),
        }),
        5 => Event::AccountConnected(AccountConnected {
            ad_account_id,
            display_name: "Shoes".into(),
            precondition,
        }),
        _ => Event::AccountDisconnected(AccountDisconnected {
            ad_account_id,
            precondition,
        }),
    }
}
