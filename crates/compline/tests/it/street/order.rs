//! What counts, and in which order.

use std::sync::Arc;

use super::{
    body::{T, body, says, status},
    show,
    tenant::Tenant,
};
use crate::house::House;

/// To the byte, and said otherwise: dropped. Stamped anew: it says what is known.
pub(super) async fn duplicates(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7400001").await;
    let same = says("7400001", 0, "74000011", "DISAPPROVED");
    for _ in 0..3 {
        house.post(same.clone()).await;
    }
    house
        .post(format!(
            r#"{{ "entry": [{{ "changes": [{{ "value": {{ "status": "DIS\u0041PPROVED", "ad_id": "74000011" }}, "field": "ad_status" }}], "time": {T}, "id": "7400001" }}], "object": "ad_account" }}"#
        ))
        .await;
    house
        .post(says("7400001", 1, "74000011", "DISAPPROVED"))
        .await;
    house.caught_up().await;

    let history = tenant.history("74000011").await.unwrap();
    assert_eq!(show::changes(history), [r#""" to "DISAPPROVED" at 0"#]);
    assert_eq!(tenant.activities("ads/74000011").await.len(), 1);
    assert_eq!(tenant.notifications(Vec::new()).await.unread_count, 1);
    assert_eq!(tenant.ad("74000011").await.unwrap().version, 1);
}

/// A → D → A → D.
pub(super) async fn there_and_back(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7400002").await;
    for (at, is) in (0..).zip(["ACTIVE", "DISAPPROVED", "ACTIVE", "DISAPPROVED"]) {
        house.post(says("7400002", at, "74000021", is)).await;
    }
    house.caught_up().await;
    assert_eq!(
        show::changes(tenant.history("74000021").await.unwrap()),
        [
            r#""" to "ACTIVE" at 0"#,
            r#""ACTIVE" to "DISAPPROVED" at 1"#,
            r#""DISAPPROVED" to "ACTIVE" at 2"#,
            r#""ACTIVE" to "DISAPPROVED" at 3"#,
        ]
    );
    assert_eq!(
        show::ad(tenant.ad("74000021").await.unwrap()),
        r#"AD 74000021 of 7400002: "ACTIVE" to "DISAPPROVED" since 3; version 4"#
    );
    let told = tenant.notifications(Vec::new()).await.notifications;
    let critical = told.iter().filter(|told| show::is_critical(told)).count();
    assert_eq!((told.len(), critical), (3, 2), "{told:?}");
}

/// What is older than the newest is history; of equals the log's last counts.
pub(super) async fn late_and_equal_times(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7400003").await;
    house.post(says("7400003", 10, "74000031", "ACTIVE")).await;
    house
        .post(says("7400003", 5, "74000031", "DISAPPROVED"))
        .await;
    house.caught_up().await;
    assert_eq!(
        show::ad(tenant.ad("74000031").await.unwrap()),
        r#"AD 74000031 of 7400003: "" to "ACTIVE" since 10; version 2"#
    );
    assert_eq!(tenant.notifications(Vec::new()).await.notifications, []);

    house.post(says("7400003", 10, "74000031", "PAUSED")).await;
    house.caught_up().await;
    assert_eq!(
        show::ad(tenant.ad("74000031").await.unwrap()),
        r#"AD 74000031 of 7400003: "ACTIVE" to "PAUSED" since 10; version 3"#
    );
    assert_eq!(
        show::changes(tenant.history("74000031").await.unwrap()),
        [
            r#""" to "ACTIVE" at 10"#,
            r#""" to "DISAPPROVED" at 5, late"#,
            r#""ACTIVE" to "PAUSED" at 10"#,
        ]
    );
}

pub(super) async fn one_ad_twice_in_a_body(house: Arc<House>) {
    let tenant = Tenant::watching(&house, "7400004").await;
    let changes = [
        status("74000041", "DISAPPROVED"),
        status("74000042", "PAUSED"),
        status("74000041", "ACTIVE"),
    ];
    house.post(body("ad_account", "7400004", 0, &changes)).await;
    house.caught_up().await;
    assert_eq!(
        show::changes(tenant.history("74000041").await.unwrap()),
        [
            r#""" to "DISAPPROVED" at 0"#,
            r#""DISAPPROVED" to "ACTIVE" at 0"#
        ]
    );
    assert_eq!(
        show::ad(tenant.ad("74000041").await.unwrap()),
        r#"AD 74000041 of 7400004: "DISAPPROVED" to "ACTIVE" since 0; version 2"#
    );
    assert_eq!(tenant.ads().await.len(), 2);
}
