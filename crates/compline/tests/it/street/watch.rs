//! `WatchAds`, over the whole street.

use std::{sync::Arc, time::Duration};

use compline_api::query::{
    Ad, Consistency, KeyRole, ListAdsRequest, Position, WatchAdsRequest, WatchAdsResponse,
    watch_ads_response::Event,
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::{body::says, show, tenant::Tenant};
use crate::house::House;

const PATIENCE: Duration = Duration::from_secs(30);
/// A key is believed for a second, and asked about every half.
const REVOKED_WITHIN: Duration = Duration::from_secs(3);

/// First what is there, then what comes; with the token, what came meanwhile.
pub(super) async fn and_resume(house: Arc<House>) {
    let account = "7900001";
    let tenant = Tenant::watching(&house, account).await;
    let neighbour = Tenant::watching(&house, "7900002").await;
    house.post(says(account, 0, "79000011", "ACTIVE")).await;
    house.post(says(account, 0, "79000012", "ACTIVE")).await;
    house.caught_up().await;

    let mut watch = Watch::start(&tenant, "", "").await;
    let mut neighbours = Watch::start(&neighbour, "", "").await;
    let first = watch.until_caught_up().await;
    assert_eq!(
        first,
        [
            r#"AD 79000011 of 7900001: "" to "ACTIVE" since 0; version 1"#,
            r#"AD 79000012 of 7900001: "" to "ACTIVE" since 0; version 1"#,
        ]
    );
    assert_eq!(neighbours.until_caught_up().await, [""; 0]);

    house
        .post(says(account, 1, "79000011", "DISAPPROVED"))
        .await;
    let change = watch.changed().await;
    assert_eq!(
        show::ad(change),
        r#"AD 79000011 of 7900001: "ACTIVE" to "DISAPPROVED" since 1; version 2"#
    );
    // The neighbour's first news is its own.
    house.post(says("7900002", 0, "79000021", "ACTIVE")).await;
    assert_eq!(neighbours.changed().await.ad_id, "79000021");

    let token = watch.token.clone();
    drop(watch);
    house.post(says(account, 2, "79000011", "ACTIVE")).await;
    house.post(says(account, 3, "79000011", "PAUSED")).await;
    house.post(says(account, 2, "79000013", "ACTIVE")).await;
    house.caught_up().await;
    let mut watch = Watch::start(&tenant, "", &token).await;
    let mut meanwhile = watch.until_caught_up().await;
    meanwhile.sort();
    assert_eq!(
        meanwhile,
        [
            r#"AD 79000011 of 7900001: "ACTIVE" to "PAUSED" since 3; version 4"#,
            r#"AD 79000013 of 7900001: "" to "ACTIVE" since 2; version 1"#,
        ]
    );
    house.post(says(account, 4, "79000012", "PAUSED")).await;
    assert_eq!(watch.changed().await.ad_id, "79000012");

    let foreign = WatchAdsRequest {
        filter: "status = \"ACTIVE\"".to_owned(),
        resume_token: token,
    };
    let refused = tenant.query.ads().watch_ads(foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

/// What no longer matches is told by its name; what never did is not told.
pub(super) async fn with_a_filter(house: Arc<House>) {
    let account = "7900003";
    let tenant = Tenant::watching(&house, account).await;
    house
        .post(says(account, 0, "79000031", "DISAPPROVED"))
        .await;
    house.post(says(account, 0, "79000032", "ACTIVE")).await;
    house.caught_up().await;
    let mut watch = Watch::start(&tenant, "status = \"DISAPPROVED\"", "").await;
    let first = watch.until_caught_up().await;
    assert_eq!(
        first,
        [r#"AD 79000031 of 7900003: "" to "DISAPPROVED" since 0; version 1"#]
    );
    house.post(says(account, 1, "79000032", "PAUSED")).await;
    house.caught_up().await;
    house.post(says(account, 1, "79000031", "ACTIVE")).await;
    let next = watch.next().await;
    assert_eq!(next, Event::Unmatched("ads/79000031".to_owned()));
    house
        .post(says(account, 2, "79000032", "DISAPPROVED"))
        .await;
    assert_eq!(watch.changed().await.ad_id, "79000032");
}

/// A watch, and a read that waits, end with the key that they were begun with; those of
/// another key of the tenant go on.
pub(super) async fn ends_with_its_key(house: Arc<House>) {
    let account = "7900004";
    let tenant = Tenant::watching(&house, account).await;
    let (name, key) = tenant.new_key(KeyRole::Standard).await;
    let (query, _) = house.clients(&key);
    let watch = query.ads().watch_ads(WatchAdsRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let mut others = Watch::start(&tenant, "", "").await;
    others.until_caught_up().await;
    let far = Position {
        topic: "ad".to_owned(),
        partition: 0,
        next_offset: 1_000_000,
    };
    let waits = ListAdsRequest {
        consistency: Some(Consistency {
            min_position: vec![far],
            max_wait: Some(prost_types::Duration {
                seconds: 30,
                nanos: 0,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let waits = tokio::spawn(async move { query.ads().list_ads(waits).await.map(drop) });
    // Long enough for the key to have been asked about again and let stay.
    sleep(Duration::from_millis(1200)).await;
    assert!(!waits.is_finished());

    tenant.revoke(&name).await;
    let ended = async {
        while watch.message().await?.is_some() {}
        Ok(())
    };
    let ended = timeout(REVOKED_WITHIN, ended).await;
    let ended: Result<(), Status> = ended.expect("the watch ends");
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
    let ended = timeout(REVOKED_WITHIN, waits).await;
    let ended = ended.expect("the wait ends").unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);

    house.post(says(account, 0, "79000041", "ACTIVE")).await;
    assert_eq!(others.changed().await.ad_id, "79000041");
}

struct Watch {
    stream: Streaming<WatchAdsResponse>,
    /// Of the last answer.
    token: String,
}

impl Watch {
    async fn start(tenant: &Tenant, filter: &str, resume_token: &str) -> Self {
        let request = WatchAdsRequest {
            filter: filter.to_owned(),
            resume_token: resume_token.to_owned(),
        };
        let stream = tenant.query.ads().watch_ads(request).await.unwrap();
        Self {
            stream: stream.into_inner(),
            token: String::new(),
        }
    }

    async fn next(&mut self) -> Event {
        let next = timeout(PATIENCE, self.stream.message()).await;
        let answer = next.expect("something comes").unwrap();
        let answer = answer.expect("a watch does not end");
        self.token = answer.resume_token;
        answer.event.unwrap()
    }

    async fn changed(&mut self) -> Ad {
        match self.next().await {
            Event::Changed(ad) => ad,
            other => panic!("{other:?}"),
        }
    }

    async fn until_caught_up(&mut self) -> Vec<String> {
        let mut ads = Vec::new();
        loop {
            match self.next().await {
                Event::Changed(ad) => ads.push(show::ad(ad)),
                Event::CaughtUp(true) => return ads,
                other => panic!("{other:?}"),
            }
        }
    }
}
