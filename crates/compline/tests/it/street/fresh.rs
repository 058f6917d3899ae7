//! A read with a command's token sees what was commanded, or says that it does not.

use std::sync::Arc;

use compline_api::query::{
    Consistency, ListAccountsRequest, ListActivitiesRequest, ListAdsRequest, OnTimeout, Position,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    body::says,
    tenant::{Tenant, at_least},
};
use crate::house::House;

const ROUNDS: u32 = 10;

/// At once, in every read model that folds it.
pub(super) async fn own_writes(house: Arc<House>) {
    let tenant = Tenant::create(&house, "Hasty").await;
    for round in 0..ROUNDS {
        let account = format!("78000{round}");
        let name = format!("accounts/{account}");
        let token = tenant.connect(&account).await.token;
        assert!(!token.is_empty());
        let request = ListAccountsRequest {
            page_size: 1000,
            consistency: Some(at_least(token.clone())),
            ..Default::default()
        };
        let answer = tenant.query.tenancy().list_accounts(request).await;
        let answer = answer.unwrap().into_inner();
        let found = answer.accounts.iter().any(|account| account.name == name);
        assert!(found, "{name} in {:?}", answer.accounts);
        let seen = answer.seen.unwrap();
        assert!(!seen.stale);
        for asked in &token {
            let reached = |seen: &&Position| {
                (&seen.topic, seen.partition) == (&asked.topic, asked.partition)
                    && seen.next_offset >= asked.next_offset
            };
            assert!(seen.position.iter().any(|seen| reached(&seen)), "{seen:?}");
        }

        // The trail is another read model, which no command waits for.
        let request = ListActivitiesRequest {
            subject: name.clone(),
            consistency: Some(at_least(token)),
            ..Default::default()
        };
        let answer = tenant.query.activity().list_activities(request).await;
        let trail = answer.unwrap().into_inner().activities;
        assert_eq!(trail.len(), 1, "{name}: {trail:?}");
        assert_eq!(trail[0].kind, "account.connected");

        house
            .post(says(&account, 0, &format!("{account}9"), "DISAPPROVED"))
            .await;
        house.caught_up().await;
        let told = tenant.notifications(Vec::new()).await;
        assert_eq!(told.unread_count, 1);
        let unread = told.notifications.iter().find(|told| !told.read).unwrap();
        let token = tenant.mark_read(&unread.name).await;
        assert_eq!(tenant.notifications(token).await.unread_count, 0);
    }
}

/// Positions that a read cannot have reached, and such as it never will.
pub(super) async fn positions(house: Arc<House>) {
    let tenant = Tenant::create(&house, "Patient").await;
    let at = |topic: &str, next_offset| {
        vec![Position {
            topic: topic.to_owned(),
            partition: 0,
            next_offset,
        }]
    };
    let accounts = async |consistency| {
        let request = ListAccountsRequest {
            consistency: Some(consistency),
            ..Default::default()
        };
        let answer = tenant.query.tenancy().list_accounts(request).await;
        answer.map(tonic::Response::into_inner)
    };
    // Accounts are not folded from ads, nor ads from accounts.
    let not_folded = accounts(at_least(at("ad", 1))).await.unwrap_err();
    let request = ListAdsRequest {
        consistency: Some(at_least(at("account", 1))),
        ..Default::default()
    };
    let ads = tenant.query.ads().list_ads(request).await.unwrap_err();
    for refused in [not_folded, ads] {
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let details = refused.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "consistency.min_position");
    }

    let soon = |on_timeout: OnTimeout| Consistency {
        min_position: at("account", 1_000_000),
        max_wait: Some(prost_types::Duration {
            seconds: 0,
            nanos: 100_000_000,
        }),
        on_timeout: on_timeout.into(),
    };
    let late = accounts(soon(OnTimeout::Unspecified)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    let details = late.get_error_details();
    let wanted = &details.error_info().unwrap().metadata["wanted"];
    assert_eq!(wanted, "account/0@1000000");
    let stale = accounts(soon(OnTimeout::Stale)).await.unwrap();
    assert!(stale.seen.unwrap().stale);
}
