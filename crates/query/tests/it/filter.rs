//! A filter means the same in SQL (ListAds), in memory (WatchAds) and to a third
//! judge: the parser's own evaluation over the answers' fields.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use compline_api::{
    filter::{Field, Filter, Kind, Operand},
    query::{Ad, AdLevel, ListAdsRequest, WatchAdsRequest, watch_ads_response::Event as Told},
};
use compline_event::{
    Event,
    ad_events::{AdStatusChanged, Level},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use time::OffsetDateTime;
use tokio::sync::Barrier;

use crate::house::{Client, House, issue, status, tenant, touch};

const TIMES: [&str; 3] = [
    "2026-01-01T12:00:00Z",
    "2026-01-01T12:01:00+00:00",
    "2026-01-01T11:59:59.999999999Z",
];

/// Filters over what `ads` below has, and a little beside it.
fn filter() -> impl Strategy<Value = String> {
    let text = (
        prop::sample::select(vec![
            "status",
            "old_status",
            "reason",
            "ad_id",
            "ad_account_id",
        ]),
        prop::sample::select(vec!["=", "!=", ":"]),
        prop::sample::select(vec![
            "ACTIVE",
            "PAUSED",
            "\"\"",
            "\"a b\"",
            "Z",
            "a",
            "ä",
            "\"q\\\"\\\\%_\"",
            "1",
            "12",
            "*",
        ]),
    );
    let time = (
        prop::sample::select(vec!["status_time", "update_time"]),
        prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]),
        prop::sample::select(TIMES.to_vec()),
    );
    let named = (
        prop::sample::select(vec!["level"]),
        prop::sample::select(vec!["=", "!="]),
        prop::sample::select(vec!["AD", "AD_SET", "AD_LEVEL_CAMPAIGN", "UNSPECIFIED"]),
    );
    let flag = (
        prop::sample::select(vec!["fetch_needed", "has_issues"]),
        prop::sample::select(vec!["=", "!="]),
        prop::sample::select(vec!["true", "false"]),
    );
    let term = prop_oneof![
        3 => text.boxed(),
        2 => time.boxed(),
        1 => named.boxed(),
        1 => flag.boxed(),
        1 => Just(("status_time", ":", "*")).boxed(),
    ]
    .prop_map(|(field, operator, value)| format!("{field} {operator} {value}"));
    term.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ({b}) OR -({c}))")),
        ]
    })
}

fn ads() -> Vec<Event> {
    let mut events = Vec::new();
    let texts = ["", "a b", "Z", "a", "ä", "q\"\\%_", "A"];
    for n in 0..28_usize {
        let ad_id = n.to_string();
        if n % 4 == 3 || n % 7 == 6 {
            events.push(issue(&ad_id, "1"));
        }
        if n % 7 == 6 {
            continue;
        }
        let level = [Level::Ad, Level::AdSet, Level::Campaign][n % 3];
        let Event::AdStatusChanged(plain) = status(&ad_id, (n % 3) as i64 - 1, "ACTIVE") else {
            unreachable!()
        };
        events.push(Event::AdStatusChanged(AdStatusChanged {
            ad_account_id: format!("{}", 1 + n % 2),
            level: level.into(),
            new_status: ["ACTIVE", "PAUSED", "WITH_ISSUES"][n % 3].into(),
            old_status: texts[n % 7].into(),
            reason: texts[(n / 3) % 7].into(),
            fetch_needed: n % 5 == 0,
            ..plain
        }));
    }
    events
}

/// The judge: a schema of its own over the answer's fields.
fn expected(filter: &str, ads: &[Ad]) -> BTreeSet<String> {
    let field = |name, kind| Field {
        name,
        field: name,
        kind,
    };
    let level = Kind::Enum {
        prefix: "AD_LEVEL_",
        values: &[
            ("AD", "AD_LEVEL_AD"),
            ("AD_SET", "AD_LEVEL_AD_SET"),
            ("CAMPAIGN", "AD_LEVEL_CAMPAIGN"),
            ("UNSPECIFIED", "AD_LEVEL_UNSPECIFIED"),
        ],
    };
    let schema = [
        field("ad_id", Kind::Text),
        field("ad_account_id", Kind::Text),
        field("status", Kind::Text),
        field("old_status", Kind::Text),
        field("reason", Kind::Text),
        field("level", level),
        field("status_time", Kind::Time),
        field("update_time", Kind::Time),
        field("fetch_needed", Kind::Bool),
        field("has_issues", Kind::Bool),
    ];
    let time = |at: Option<prost_types::Timestamp>| {
        let nanos = |at: prost_types::Timestamp| {
            i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos)
        };
        at.map(|at| OffsetDateTime::from_unix_timestamp_nanos(nanos(at)).unwrap())
    };
    let filter = Filter::parse(filter, &schema).unwrap();
    ads.iter()
        .filter(|ad| {
            filter.matches(&|name| match name {
                "ad_id" => Operand::Text(&ad.ad_id),
                "ad_account_id" => Operand::Text(&ad.ad_account_id),
                "status" => Operand::Text(&ad.status),
                "old_status" => Operand::Text(&ad.old_status),
                "reason" => Operand::Text(&ad.reason),
                "level" => Operand::Text(AdLevel::as_str_name(&ad.level())),
                "status_time" => Operand::Time(time(ad.status_time)),
                "update_time" => Operand::Time(time(ad.update_time)),
                "fetch_needed" => Operand::Bool(ad.fetch_needed),
                _ => Operand::Bool(!ad.open_issues.is_empty()),
            })
        })
        .map(|ad| ad.ad_id.clone())
        .collect()
}

async fn list(client: &mut Client, filter: &str) -> Vec<Ad> {
    let request = ListAdsRequest {
        page_size: 1000,
        filter: filter.into(),
        ..ListAdsRequest::default()
    };
    client.list_ads(request).await.unwrap().into_inner().ads
}

fn ids(ads: &[Ad]) -> BTreeSet<String> {
    ads.iter().map(|ad| ad.ad_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_memory_agree() {
    let mut house = House::open().await;
    house.told(tenant(0), ads()).await;
    let mut client = house.client(tenant(0));
    let everything = list(&mut client, "").await;
    assert_eq!(everything.len(), 28);

    let mut runner = TestRunner::default();
    let filters: BTreeSet<String> = (0..400)
        .map(|_| filter().new_tree(&mut runner).unwrap().current())
        .collect();
    let mut kinds = [0; 3];
    for filter in &filters {
        let found = ids(&list(&mut client, filter).await);
        assert_eq!(found, expected(filter, &everything), "{filter}");
        kinds[match found.len() {
            0 => 0,
            28 => 1,
            _ => 2,
        }] += 1;
    }
    assert!(kinds[2] > filters.len() / 4, "filters that tell: {kinds:?}");

    // In memory: what watchers say of ads that were all touched.
    let watched: Vec<String> = filters.into_iter().take(60).collect();
    let caught_up = Arc::new(Barrier::new(watched.len() + 1));
    let watchers: Vec<_> = watched
        .into_iter()
        .map(|filter| {
            let (mut client, caught_up) = (client.clone(), caught_up.clone());
            tokio::spawn(async move {
                let request = WatchAdsRequest {
                    filter: filter.clone(),
                    resume_token: String::new(),
                };
                let mut stream = client.watch_ads(request).await.unwrap().into_inner();
                while !matches!(
                    stream.message().await.unwrap().unwrap().event,
                    Some(Told::CaughtUp(true))
                ) {}
                caught_up.wait().await;
                let mut touched = BTreeSet::new();
                let quiet = Duration::from_secs(2);
                while let Ok(told) = tokio::time::timeout(quiet, stream.message()).await {
                    match told.unwrap().unwrap().event {
                        Some(Told::Changed(ad)) => touched.insert(ad.ad_id),
                        // Its update_time has changed, and may be what it matched by.
                        Some(Told::Unmatched(_)) => continue,
                        other => panic!("{filter}: {other:?}"),
                    };
                }
                (filter, touched)
            })
        })
        .collect();
    caught_up.wait().await;
    let touches = (0..28).map(|n| touch(&n.to_string())).collect();
    house.told(tenant(0), touches).await;
    for watcher in watchers {
        let (filter, touched) = watcher.await.unwrap();
        assert_eq!(touched, ids(&list(&mut client, &filter).await), "{filter}");
    }
}
