//! Everything described is exported, and everything exported is described.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use compline::{
    admin_client,
    client::Client,
    metric,
    webhook::{Poster, Sender},
};
use compline_api::query::{ListAdsRequest, WatchAdsRequest};
use compline_ingress::sample::META_APP_SECRET;

use super::process::Process;
use crate::house::until;

/// Only with an error of Kafka's protocol, of which a quiet street has none.
const ONLY_IN_TROUBLE: [&str; 1] = [metric::BROKER_ERRORS];

#[derive(Default)]
struct Names(Mutex<BTreeSet<String>>);

impl Names {
    fn keep(&self, name: &KeyName, help: &SharedString) {
        assert!(help.len() > 10, "{} is not explained", name.as_str());
        let first = self.0.lock().unwrap().insert(name.as_str().to_owned());
        assert!(first, "{} is described twice", name.as_str());
    }
}

impl Recorder for Names {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(name.as_str().ends_with("_total"), "{}", name.as_str());
        self.keep(&name, &help);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.keep(&name, &help);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        // Others would be summaries, which cannot be added up: see `telemetry`.
        let units = ["_seconds", "_records"];
        let is_of = |unit: &&str| name.as_str().ends_with(*unit);
        assert!(units.iter().any(is_of), "{}", name.as_str());
        self.keep(&name, &help);
    }
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Every name that has its help.
pub(super) fn described() -> BTreeSet<String> {
    let names = Names::default();
    ::metrics::with_local_recorder(&names, metric::describe_all);
    let mut names = names.0.into_inner().unwrap();
    for histogram in [metric::BROKER_REQUEST_SECONDS, metric::BROKER_SYNC_SECONDS] {
        names.insert(histogram.name.to_owned());
    }
    names
}

/// The names of a page's families, after a word such as `TYPE`.
fn families(page: &str, word: &str) -> BTreeSet<String> {
    let start = format!("# {word} ");
    let lines = page.lines().filter_map(|line| line.strip_prefix(&start));
    let names = lines.filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_described_is_exported_and_everything_exported_is_described() {
    let street = Process::start(&[]).await;
    let at = &street.at.addresses;
    let ingress = format!("http://{}", at.ingress);
    let poster = Poster::new(&ingress, Duration::from_secs(10)).unwrap();
    let answer = poster.post(Sender::Meta, META_APP_SECRET, "{}".into());
    assert_eq!(answer.await.unwrap().status, 200);
    let key = std::fs::read_to_string(street.data().join("api.key")).unwrap();
    let query = Client::connect(&format!("http://{}", at.query), key.trim()).unwrap();
    let mut ads = query.ads();
    ads.list_ads(ListAdsRequest::default()).await.unwrap();
    let mut watch = ads.watch_ads(WatchAdsRequest::default()).await.unwrap();
    watch.get_mut().message().await.unwrap();

    // Measured once a second.
    let page = async || admin_client::metrics_page(&street.admin()).await.unwrap();
    let described = described();
    let missing = async || {
        let exported = families(&page().await, "TYPE");
        let quiet = |name: &&String| !ONLY_IN_TROUBLE.contains(&name.as_str());
        let missing = described.difference(&exported).filter(quiet);
        missing.cloned().collect::<Vec<_>>()
    };
    let mut last = Vec::new();
    for _ in 0..100 {
        last = missing().await;
        if last.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(last.is_empty(), "described and not exported: {last:?}");
    let page = page().await;
    let exported = families(&page, "TYPE");
    let unknown: Vec<_> = exported.difference(&described).collect();
    assert!(
        unknown.is_empty(),
        "exported and not described: {unknown:?}"
    );
    assert_eq!(exported, families(&page, "HELP"), "type and help");
    assert!(!page.contains(" summary\n"), "a summary cannot be added up");

    // Everything is caught up with: /readyz says so, and why when it is not.
    until("ready", async || {
        admin_client::ready(&street.admin()).await.unwrap().0
    })
    .await;
    street.stop().await;
}
