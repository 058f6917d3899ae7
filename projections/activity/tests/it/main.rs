//! The laws of a projection, on histories of whatever stands in the trail.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use bytes::Bytes;
use compline_activity::ActivityTrail;
use compline_event::{
    Event, Recorded,
    account_events::{AccountConnected, AccountDisconnected},
    activity_events::{
        ActivityRecorded, NotificationRaised, NotificationRead, WebhookExpired, WebhookUnrecognized,
    },
    envelope_proto::Precondition,
    tenant_events::{ApiKeyIssued, ApiKeyRevoked, Role},
};
use compline_testkit::{Stage, law};
use rand::{Rng, SeedableRng as _, rngs::StdRng};

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold() {
    let mut stage = Stage::<ActivityTrail>::open().await;
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut history = law::history(&mut rng, &mut draw);
        only_what_was_raised_is_read(&mut history);
        law::hold_on(&mut stage, &history, &mut rng).await.unwrap();
    }
}

/// As in every real history: the command service refuses the others.
fn only_what_was_raised_is_read(history: &mut Vec<Recorded>) {
    let mut raised = BTreeSet::new();
    history.retain(|event| match &event.envelope.event {
        Event::NotificationRaised(e) => {
            raised.insert((event.envelope.tenant, e.notification_id.clone()));
            true
        }
        Event::NotificationRead(e) => {
            raised.contains(&(event.envelope.tenant, e.notification_id.clone()))
        }
        _ => true,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_is_what_was_raised_and_not_read() {
    let mut stage = Stage::<ActivityTrail>::open().await;
    for seed in 0..4 {
        stage.empty().await;
        let mut rng = StdRng::seed_from_u64(seed);
        for batch in law::history(&mut rng, &mut draw).chunks(7) {
            stage.given(batch).await;
        }
        let counted = "SELECT n.tenant_id, reader, raised - read FROM reader_count
                       JOIN notification_count n USING (tenant_id) ORDER BY 1, 2";
        let by_hand = "SELECT n.tenant_id, reader, count(*) - count(r.read_at)
                       FROM (SELECT DISTINCT tenant_id, reader FROM notification_read) readers
                       JOIN notification n USING (tenant_id)
                       LEFT JOIN notification_read r USING (tenant_id, reader, notification_id)
                       GROUP BY 1, 2 ORDER BY 1, 2";
        let by_hand = stage.rows(by_hand).await;
        assert!(!by_hand.is_empty(), "history {seed} reads nothing");
        assert_eq!(stage.rows(counted).await, by_hand, "history {seed}");
    }
}

fn draw(rng: &mut StdRng) -> Event {
    let ad_account_id = rng.random_range(1..4).to_string();
    let notification_id = format!("n{}", rng.random_range(0..8));
    let precondition = Some(Precondition {
        request_id: Bytes::from(vec![rng.random_range(0..20); 16]),
        expected_version: rng.random_bool(0.5).then(|| rng.random_range(0..4)),
    });
    let key_id = format!("k{}", rng.random_range(1..4));
    match rng.random_range(0..9) {
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
        4 => Event::ApiKeyIssued(ApiKeyIssued {
            key_id,
            role: [Role::Admin, Role::Auditor][rng.random_range(0..2)].into(),
            precondition,
            ..Default::default()
        }),
        5 => Event::ApiKeyRevoked(ApiKeyRevoked {
            key_id,
            precondition,
            spares_last_admin: rng.random_bool(0.7),
        }),
        6 => Event::WebhookExpired(WebhookExpired {
            ad_account_id,
            changes: rng.random_range(1..9),
        }),
        7 => Event::AccountConnected(AccountConnected {
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
