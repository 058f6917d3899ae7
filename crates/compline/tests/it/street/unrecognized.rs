//! Well signed, and nobody knows what it says.

use std::sync::Arc;

use compline_readmodel::{Role, generation::SCHEMA};
use sqlx::AssertSqlSafe;

use super::{
    body::{body, status},
    show,
    tenant::Tenant,
};
use crate::house::House;

const ACCOUNT: &str = "7600001";

/// It is acknowledged, counted and passed over; the other changes of its body, and
/// what comes behind it, count.
pub(super) async fn counted(house: Arc<House>) {
    let tenant = Tenant::watching(&house, ACCOUNT).await;
    let unowned = unowned(&house).await;
    let changes = [
        status("76000011", "ACTIVE"),
        r#"{"field":"ad_mood","value":{"mood":"cheerful"}}"#.to_owned(),
        r#"{"field":"ad_mood","value":{"mood":"sad"}}"#.to_owned(),
        r#"{"field":"ad_status","value":{"ad_id":["no","id"],"status":"ACTIVE"}}"#.to_owned(),
        r#"{"field":"ad_status","value":"no object"}"#.to_owned(),
        status("76000012", "PAUSED"),
    ];
    house.post(body("ad_account", ACCOUNT, 0, &changes)).await;
    let again = body("ad_account", ACCOUNT, 1, &changes[1..2]);
    house.post(again).await;
    for nonsense in ["not JSON", "{\"entry\":", "", "[]", "\0", "\u{feff}{}"] {
        house.post(nonsense).await;
    }
    house
        .post(body("instagram", ACCOUNT, 2, &changes[..1]))
        .await;
    let after = body("ad_account", ACCOUNT, 3, &[status("76000011", "PAUSED")]);
    house.post(after).await;
    house.caught_up().await;

    let mut ads: Vec<String> = tenant.ads().await.into_iter().map(show::ad).collect();
    ads.sort();
    assert_eq!(
        ads,
        [
            r#"AD 76000011 of 7600001: "ACTIVE" to "PAUSED" since 3; version 2"#,
            r#"AD 76000012 of 7600001: "" to "PAUSED" since 0; version 1"#,
        ]
    );
    let counters = tenant.counters().await;
    let counters: Vec<String> = counters.into_iter().map(show::counter).collect();
    assert_eq!(
        counters,
        [
            r#"2 of meta_webhook "ad_account" "ad_mood", last of accounts/7600001: this field of this object is not followed"#,
            r#"1 of meta_webhook "ad_account" "ad_status", last of accounts/7600001: value is not a JSON object"#,
            r#"1 of meta_webhook "ad_account" "ad_status", last of accounts/7600001: value.ad_id is not an id"#,
            r#"1 of meta_webhook "instagram" "ad_status", last of accounts/7600001: this field of this object is not followed"#,
        ]
    );
    // Of what names no account only the operator is told.
    assert_eq!(unowned_since(&house, unowned).await, 6);
    let pool = house.database.pool(Role::Owner, SCHEMA, 1);
    let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM compline.parked_key")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(parked, 0);
}

async fn unowned_since(house: &House, before: i64) -> i64 {
    unowned(house).await - before
}

/// How many parts of webhooks were counted for nobody but the operator.
async fn unowned(house: &House) -> i64 {
    let pool = house.database.pool(Role::Owner, SCHEMA, 1);
    let schema: String = sqlx::query_scalar(
        "SELECT schema_name FROM compline.generation
         JOIN compline.pointer USING (projection, generation) WHERE projection = 'activity'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let statement = format!(
        "SELECT coalesce(sum(count), 0)::bigint FROM {schema}.webhook_counter
         WHERE tenant_id = '00000000-0000-0000-0000-000000000000'"
    );
    let sum = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&pool);
    sum.await.unwrap()
}
