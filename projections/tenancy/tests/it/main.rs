//! The laws of a projection, on histories of commands that repeat and race.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use compline_event::{
    Event,
    account_events::{AccountConnected, AccountDisconnected, AccountStatusChanged},
    envelope_proto::Precondition,
    tenant_events::{ApiKeyIssued, ApiKeyRevoked, OrganizationCreated, Role},
};
use compline_tenancy::Tenancy;
use compline_testkit::law;
use rand::{Rng, rngs::StdRng};

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold() {
    law::hold::<Tenancy>(draw).await.unwrap();
}

fn draw(rng: &mut StdRng) -> Event {
    let number: u8 = rng.random();
    let ad_account_id = rng.random_range(1..4).to_string();
    let key_id = format!("k{}", rng.random_range(1..4));
    // Few of them, so that they repeat; versions, so that some are stale.
    let precondition = Some(Precondition {
        request_id: Bytes::from(vec![rng.random_range(0..20); 16]),
        expected_version: rng.random_bool(0.5).then(|| rng.random_range(0..4)),
    });
    match rng.random_range(0..6) {
        0 => Event::OrganizationCreated(OrganizationCreated {
            display_name: format!("name {number}"),
            precondition,
        }),
        1 => Event::ApiKeyIssued(ApiKeyIssued {
            key_id,
            display_name: format!("key {number}"),
            secret_sha256: Bytes::from(vec![number; 32]),
            role: [Role::Admin, Role::Auditor][rng.random_range(0..2)].into(),
            precondition,
        }),
        2 => Event::ApiKeyRevoked(ApiKeyRevoked {
            key_id,
            precondition,
            spares_last_admin: rng.random_bool(0.7),
        }),
        3 => Event::AccountConnected(AccountConnected {
            ad_account_id,
            display_name: format!("account {number}"),
            precondition,
        }),
        4 => Event::AccountDisconnected(AccountDisconnected {
            ad_account_id,
            precondition,
        }),
        _ => Event::AccountStatusChanged(AccountStatusChanged {
            ad_account_id,
            new_status: number.into(),
            late: rng.random_bool(0.3),
            ..Default::default()
        }),
    }
}
