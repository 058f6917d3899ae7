//! WatchAds.

use std::{collections::BTreeMap, time::Duration};

use compline_api::query::{WatchAdsRequest, WatchAdsResponse, watch_ads_response::Event as Told};
use compline_event::Event;
use tonic::{Code, Streaming};

use crate::house::{Client, House, fields, status, tenant};

struct Watch {
    stream: Streaming<WatchAdsResponse>,
    token: String,
}

async fn watch(client: &mut Client, filter: &str, resume_token: &str) -> Watch {
    let request = WatchAdsRequest {
        filter: filter.into(),
        resume_token: resume_token.into(),
    };
    Watch {
        stream: client.watch_ads(request).await.unwrap().into_inner(),
        token: String::new(),
    }
}

impl Watch {
    /// The next message, as a short text.
    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(10), self.stream.message());
        let response = next.await.expect("a message in time").unwrap().unwrap();
        self.token = response.resume_token;
        match response.event.unwrap() {
            Told::Changed(ad) => format!("{} {}", ad.ad_id, ad.status),
            Told::Unmatched(name) => format!("{name} unmatched"),
            Told::CaughtUp(_) => "caught up".into(),
            Told::Restarted(_) => "restarted".into(),
        }
    }

    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let next = self.next().await;
            if next == last {
                return all;
            }
            all.push(next);
        }
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.stream.message())
            .await
            .is_err()
    }
}

#[tokio::test]
async fn first_what_matches_then_what_changes() {
    let mut house = House::open().await;
    let events = vec![
        status("1", 0, "ACTIVE"),
        status("2", 0, "PAUSED"),
        status("3", 0, "PAUSED"),
    ];
    house.told(tenant(0), events).await;
    let mut client = house.client(tenant(0));
    let mut watch = watch(&mut client, "status = PAUSED", "").await;
    assert_eq!(watch.until("caught up").await, ["2 PAUSED", "3 PAUSED"]);

    house.told(tenant(0), vec![status("1", 1, "PAUSED")]).await;
    assert_eq!(watch.next().await, "1 PAUSED");
    house.told(tenant(0), vec![status("2", 1, "ACTIVE")]).await;
    assert_eq!(watch.next().await, "ads/2 unmatched");
    house.told(tenant(0), vec![status("2", 2, "DELETED")]).await;
    house.told(tenant(1), vec![status("3", 1, "PAUSED")]).await;
    assert!(
        watch.is_quiet().await,
        "never sent, or told already, or another's"
    );
}

#[tokio::test]
async fn a_batch_is_told_once_per_ad() {
    let mut house = House::open().await;
    let mut client = house.client(tenant(0));
    let mut watch = watch(&mut client, "", "").await;
    watch.until("caught up").await;
    let there_and_back =
        (0..100).map(|n| status("1", n, if n % 2 == 0 { "PAUSED" } else { "ACTIVE" }));
    house.told(tenant(0), there_and_back.collect()).await;
    assert_eq!(watch.next().await, "1 ACTIVE");
    assert!(watch.is_quiet().await);
}

#[tokio::test]
async fn a_watch_goes_on_behind_its_token() {
    let mut house = House::open().await;
    let filter = "status = PAUSED";
    let events = (0..9)
        .map(|n| status(&n.to_string(), 0, "PAUSED"))
        .collect();
    house.told(tenant(0), events).await;
    let mut client = house.client(tenant(0));
    let mut first = watch(&mut client, filter, "").await;
    first.until("caught up").await;
    let token = first.token.clone();
    drop(first);

    let gone = vec![
        status("1", 1, "ACTIVE"),
        status("2", 1, "ACTIVE"),
        status("2", 2, "PAUSED"),
        status("10", 1, "PAUSED"),
    ];
    house.told(tenant(0), gone).await;
    let mut second = watch(&mut client, filter, &token).await;
    let mut told = second.until("caught up").await;
    told.sort();
    assert_eq!(told, ["10 PAUSED", "2 PAUSED", "ads/1 unmatched"]);

    let another = WatchAdsRequest {
        filter: "status = ACTIVE".into(),
        resume_token: token,
    };
    let refused = client.watch_ads(another).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(fields(&refused), ["resume_token"]);
}

/// Whatever is cut off, and wherever: what a client has at the end is what is.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_by_resuming_anywhere() {
    let mut house = House::open().await;
    let mut client = house.client(tenant(0));
    let filter = "status = PAUSED";
    let mut has: BTreeMap<String, String> = BTreeMap::new();
    let mut is: BTreeMap<String, String> = BTreeMap::new();
    let mut token = String::new();
    let mut resumed = 0;
    for round in 0..30_i64 {
        let mut watch = watch(&mut client, filter, &token).await;
        match token.is_empty() {
            true => has.clear(),
            false => resumed += 1,
        }
        let events: Vec<Event> = (0..20)
            .map(|n| {
                let ad_id = ((n * 7 + round * 3) % 40).to_string();
                let now = if (n + round) % 3 == 0 {
                    "ACTIVE"
                } else {
                    "PAUSED"
                };
                match now {
                    "PAUSED" => is.insert(ad_id.clone(), now.into()),
                    _ => is.remove(&ad_id),
                };
                status(&ad_id, round, now)
            })
            .collect();
        house.told(tenant(0), events).await;
        // Leaves in the middle of things; the last round hears it to the end.
        for _ in 0..(round * 7) % 40 {
            if tokio::time::timeout(Duration::from_millis(100), note(&mut watch, &mut has))
                .await
                .is_err()
            {
                break;
            }
        }
        if !watch.token.is_empty() {
            token = watch.token;
        }
    }
    assert!(resumed > 15, "{resumed}");
    let mut watch = watch(&mut client, filter, &token).await;
    while note(&mut watch, &mut has).await != "caught up" {}
    assert_eq!(has, is);
}

async fn note(watch: &mut Watch, has: &mut BTreeMap<String, String>) -> String {
    let told = watch.next().await;
    if let Some(name) = told.strip_suffix(" unmatched") {
        has.remove(name.strip_prefix("ads/").unwrap());
    } else if let Some((ad_id, status)) = told.split_once(' ')
        && told != "caught up"
    {
        has.insert(ad_id.into(), status.into());
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_starts_over_from_now() {
    let mut house = House::open().await;
    let mut client = house.client(tenant(0));
    let mut slow = watch(&mut client, "", "").await;
    slow.until("caught up").await;

    // More than windows, channel and backlog hold, while it does not read.
    let ads: Vec<String> = (0..4_000).map(|n| format!("{n:0>200}")).collect();
    for now in ["ACTIVE", "PAUSED"] {
        for some in ads.chunks(100) {
            let events = some.iter().map(|ad_id| status(ad_id, 0, now)).collect();
            house.told(tenant(0), events).await;
        }
    }
    slow.until("restarted").await;
    assert_eq!(slow.token, "", "nothing of before counts");
    let mut has = BTreeMap::new();
    for told in slow.until("caught up").await {
        let (ad_id, status) = told.split_once(' ').unwrap();
        has.insert(ad_id.to_owned(), status.to_owned());
    }
    assert_eq!(has.len(), ads.len());
    assert!(has.values().all(|status| status == "PAUSED"));

    // And goes on as any other.
    house
        .told(tenant(0), vec![status("new", 0, "ACTIVE")])
        .await;
    assert_eq!(slow.next().await, "new ACTIVE");
}

#[tokio::test]
async fn a_tenant_has_its_share_of_watches() {
    let house = House::open().await;
    let mut open = Vec::new();
    // A connection carries 256 calls at most.
    for _ in 0..2 {
        let mut client = house.another_client(tenant(0)).await;
        for _ in 0..128 {
            open.push(watch(&mut client, "", "").await);
        }
    }
    let mut client = house.another_client(tenant(0)).await;
    let refused = client.watch_ads(WatchAdsRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::ResourceExhausted);
    let mut other = house.another_client(tenant(1)).await;
    other.watch_ads(WatchAdsRequest::default()).await.unwrap();

    open.pop();
    let again = async {
        while client.watch_ads(WatchAdsRequest::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .expect("a place that became free is given again");
}
