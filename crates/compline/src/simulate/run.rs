//! One simulated life from its first delivery to the comparison of every row.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use compline_api::query::{Ad, ListAdsRequest};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    audience::{Audience, Viewer, tenants_of},
    generator::{Kind, Life, Plan},
    latency::Latencies,
    model::{Effect, Expected, Model},
    sender::{Due, Sender, Tally},
    watcher::Watcher,
};
use crate::webhook::Poster;

/// How far ahead of its instant a delivery is made.
const AHEAD: Duration = Duration::from_millis(100);
/// How many mismatches are told in full.
const EXAMPLES: usize = 5;

/// How long, and how patiently.
#[derive(Clone, Debug)]
pub struct Pace {
    pub duration: Duration,
    /// How long after the last delivery readers may take to see all of it.
    pub settle: Duration,
}

/// What was played and what came of it.
#[derive(Debug)]
pub struct Report {
    pub tally: Tally,
    /// Deliveries by kind.
    pub kinds: BTreeMap<Kind, u64>,
    pub changes: u64,
    pub elapsed: Duration,
    /// Changes of a current status that readers had to see, once for each tenant.
    pub awaited: u64,
    pub visible: u64,
    pub visible_latencies: Latencies,
    pub verdict: Verdict,
}

/// Every row of every tenant against the model.
#[derive(Debug, Default)]
pub struct Verdict {
    pub ads: u64,
    pub mismatches: u64,
    pub examples: Vec<String>,
    /// Ads that could not be judged: a delivery of theirs had no answer.
    pub in_doubt: u64,
}

/// Plays `plan` to `audience`. `progress` hears how many changes have been done.
pub async fn play(
    plan: Plan,
    pace: &Pace,
    audience: &Audience,
    poster: &Poster,
    secret: &str,
    progress: impl Fn(u32) + Clone + Send + 'static,
) -> Result<Report> {
    let mut watchers = Vec::with_capacity(audience.tenants.len());
    for viewer in &audience.tenants {
        let filter = format!("update_time >= \"{}\"", rfc3339(plan.begins_at));
        watchers.push(Watcher::start(viewer.query.clone(), filter).await?);
    }
    let lanes = plan.accounts.len();
    let first_ad = plan.first_ad;
    let sender = Sender::start(lanes, poster, secret, progress);
    let mut life = Life::new(plan);
    let mut model = Model::default();
    let mut kinds = BTreeMap::new();
    let (mut changes, mut awaited) = (0, 0);
    let begin = Instant::now();
    loop {
        let due = Duration::from_secs_f64(life.due_seconds());
        if due >= pace.duration {
            break;
        }
        let at = begin + due;
        sleep_until(at - AHEAD).await;
        let delivery = life.next().expect("a life is endless");
        for fact in &delivery.facts {
            if model.fold(fact) != Effect::Current {
                continue;
            }
            let expected = model.ad(fact.ad).expect("it was folded just now");
            let ad_id = (first_ad + u64::from(fact.ad)).to_string();
            for tenant in tenants_of(fact.account, watchers.len()) {
                watchers[tenant].expect(ad_id.clone(), expected.status, fact.time, at);
                awaited += 1;
            }
        }
        *kinds.entry(delivery.kind).or_default() += 1;
        changes += u64::from(delivery.changes);
        sender.hand_over(Due { at, delivery });
    }
    let tally = sender.finish().await;
    let elapsed = begin.elapsed();
    for ad in &tally.in_doubt {
        model.doubt(*ad);
    }
    settle(&watchers, pace.settle).await;
    let mut visible_latencies = Latencies::default();
    for watcher in &watchers {
        visible_latencies.merge(watcher.latencies());
    }
    Ok(Report {
        visible: visible_latencies.count() as u64,
        verdict: judge(&model, audience, first_ad).await?,
        tally,
        kinds,
        changes,
        elapsed,
        awaited,
        visible_latencies,
    })
}

async fn settle(watchers: &[Watcher], patience: Duration) {
    let deadline = Instant::now() + patience;
    while watchers.iter().any(|watcher| watcher.waiting() > 0) && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    // Issues and requests to fetch are not awaited one by one; a moment for them.
    sleep(Duration::from_millis(500)).await;
}

async fn judge(model: &Model, audience: &Audience, first_ad: u64) -> Result<Verdict> {
    let mut verdict = Verdict {
        in_doubt: model.uncertain() as u64,
        ..Verdict::default()
    };
    for viewer in &audience.tenants {
        let rows = rows_of(viewer, audience).await?;
        for (ad, expected) in model.expected() {
            if !viewer.accounts.contains(&expected.account) {
                continue;
            }
            verdict.ads += 1;
            let ad_id = (first_ad + u64::from(ad)).to_string();
            let account = &audience.accounts[expected.account];
            let Some(wrong) = difference(rows.get(&ad_id), account, expected) else {
                continue;
            };
            verdict.mismatches += 1;
            if verdict.examples.len() < EXAMPLES {
                let example = format!("ad {ad_id}, {}: {wrong}", viewer.name);
                verdict.examples.push(example);
            }
        }
    }
    Ok(verdict)
}

fn difference(row: Option<&Ad>, account: &str, expected: &Expected) -> Option<String> {
    let Some(row) = row else {
        return Some(format!("no row, expected {expected:?}"));
    };
    let issues: BTreeSet<&str> = row
        .open_issues
        .iter()
        .map(|issue| issue.error_code.as_str())
        .collect();
    let status_time = row.status_time.as_ref().map_or(0, |at| at.seconds);
    let same = row.ad_account_id == account
        && (row.status.as_str(), status_time) == (expected.status, expected.status_time)
        && row.fetch_needed == expected.fetch_needed
        && issues == expected.issues;
    (!same).then(|| {
        format!(
            "found account {} status {:?} since {status_time} issues {issues:?} fetch {}, expected {expected:?}",
            row.ad_account_id, row.status, row.fetch_needed
        )
    })
}

async fn rows_of(viewer: &Viewer, audience: &Audience) -> Result<BTreeMap<String, Ad>> {
    let mut ads = viewer.query.ads();
    let mut rows = BTreeMap::new();
    for account in &viewer.accounts {
        let mut page_token = String::new();
        loop {
            let answer = ads
                .list_ads(ListAdsRequest {
                    page_size: 1000,
                    page_token,
                    filter: format!("ad_account_id = \"{}\"", audience.accounts[*account]),
                    ..Default::default()
                })
                .await?
                .into_inner();
            rows.extend(answer.ads.into_iter().map(|ad| (ad.ad_id.clone(), ad)));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    Ok(rows)
}

fn rfc3339(unix_seconds: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(unix_seconds)
        .map_or_else(|_| String::new(), crate::show::instant)
}
