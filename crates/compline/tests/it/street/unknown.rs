//! Webhooks of an account that nobody watches yet.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tonic::Code;

use super::{
    body::{body, says, status},
    show,
    tenant::Tenant,
};
use crate::house::House;

const ROUNDS: u32 = 20;

/// What came before is there once the account is connected: in order, once, and
/// what comes afterwards goes on from it.
pub(super) async fn connected_later(house: Arc<House>) {
    let tenant = Tenant::create(&house, "Later").await;
    let issue = r#"{"field":"with_issues_ad_objects","value":{"id":"72000012","level":"AD","error_code":"5","error_summary":"sum","error_message":"long"}}"#;
    let first = says("7200001", 0, "72000011", "ACTIVE");
    house.post(first.clone()).await;
    house
        .post(says("7200001", 1, "72000011", "DISAPPROVED"))
        .await;
    house.post(first).await;
    house.post(says("7200001", 2, "72000011", "ACTIVE")).await;
    house
        .post(body("ad_account", "7200001", 3, &[issue.to_owned()]))
        .await;
    house.caught_up().await;
    let ad = tenant.ad("72000011").await;
    assert_eq!(ad.unwrap_err().code(), Code::NotFound);

    tenant.connect("7200001").await;
    house.caught_up().await;
    let mut told = vec![
        r#""" to "ACTIVE" at 0"#,
        r#""ACTIVE" to "DISAPPROVED" at 1"#,
        r#""DISAPPROVED" to "ACTIVE" at 2"#,
    ];
    assert_eq!(
        show::changes(tenant.history("72000011").await.unwrap()),
        told
    );
    assert_eq!(
        show::ad(tenant.ad("72000012").await.unwrap()),
        r#"AD 72000012 of 7200001: "" to "WITH_ISSUES" since 3, because "5: sum", issue 5 at 3: "sum", "long"; version 2"#
    );
    assert_eq!(tenant.activities("ads/72000011").await.len(), 3);
    assert_eq!(tenant.notifications(Vec::new()).await.unread_count, 3);

    house.post(says("7200001", 4, "72000011", "PAUSED")).await;
    house.post(says("7200001", 2, "72000011", "ACTIVE")).await;
    // A second connection brings nothing back.
    tenant.connect("7200001").await;
    house.caught_up().await;
    told.push(r#""ACTIVE" to "PAUSED" at 4"#);
    assert_eq!(
        show::changes(tenant.history("72000011").await.unwrap()),
        told
    );

    // Nor does another tenant's: it was not there when they came.
    let other = Tenant::watching(&house, "7200001").await;
    house.caught_up().await;
    assert_eq!(other.ads().await, []);
}

/// Within a few milliseconds, twenty times: whichever was first, the change is told once.
pub(super) async fn connected_meanwhile(house: Arc<House>) {
    let tenant = Tenant::create(&house, "Racer").await;
    for round in 0..ROUNDS {
        let account = format!("73000{round}");
        let change = status(&format!("{account}9"), "DISAPPROVED");
        let body = body("ad_account", &account, 0, &[change]);
        // A connection looks before it appends: each round posts a little later, so
        // that both are first now and then.
        let post = async {
            sleep(Duration::from_micros(300) * round).await;
            house.post(body).await;
        };
        tokio::join!(tenant.connect(&account), post);
    }
    house.caught_up().await;
    for round in 0..ROUNDS {
        let ad = format!("73000{round}9");
        let history = tenant.history(&ad).await.unwrap();
        let told = show::changes(history);
        assert_eq!(told, [r#""" to "DISAPPROVED" at 0"#], "round {round}");
        let trail = tenant.activities(&format!("ads/{ad}")).await;
        assert_eq!(trail.len(), 1, "round {round}");
    }
    assert_eq!(tenant.ads().await.len(), ROUNDS as usize);
    let told = tenant.notifications(Vec::new()).await;
    assert_eq!(told.notifications.len(), ROUNDS as usize);
}
