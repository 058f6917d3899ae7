//! Row 3: gRPC point read under row level security.

mod limit;

use std::time::Duration;

use anyhow::Result;
use compline_activity::ActivityTrail;
use compline_ad_status::AdStatus;
use compline_event::Topic;
use compline_tenancy::Tenancy;

use crate::{
    Setting,
    ads::ADS,
    client::{self, Reads},
    house::{self, OwnDatabase, OwnLog},
    measure::{Summary, median},
    project::Events,
    report::{Finding, Goal, Row},
    street::{POOL, Street, announce_tenants},
};

/// At a time.
const READERS: usize = 16;
const CONNECTIONS: usize = 4;

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let folder = house::folder(&setting.folder)?;
    let log = OwnLog::open(&folder).await?;
    let own = OwnDatabase::open(&folder).await?;
    let mut street = Street::new(log.log.clone(), own.database.clone()).await?;
    let keys = announce_tenants(&log.log).await?;
    Events::append(&log.log, ADS).await?;
    street.project::<Tenancy>();
    street.project::<AdStatus>();
    street.project::<ActivityTrail>();
    street
        .has_read(compline_tenancy::NAME, &[Topic::Tenant, Topic::Account])
        .await?;
    street
        .has_read(compline_ad_status::NAME, &[Topic::Ad])
        .await?;
    let address = street.answer().await?;
    let limit = limit::Limit::new(&own.database);

    let ours = |length| {
        client::ask(Reads {
            address,
            keys: keys.clone(),
            readers: READERS,
            connections: CONNECTIONS,
            length,
        })
    };
    let warm_up = Duration::from_secs(setting.choose(2, 1));
    ours(warm_up).await?;
    limit.read(READERS, warm_up).await?;
    let length = Duration::from_secs(setting.choose(4, 2));
    let mut rounds = Vec::new();
    for number in 0..setting.choose(8, 3) {
        eprintln!("read: round {}", number + 1);
        let pair = if number % 2 == 0 {
            let ours = ours(length).await?;
            (ours, limit.read(READERS, length).await?)
        } else {
            let limit = limit.read(READERS, length).await?;
            (ours(length).await?, limit)
        };
        street.check()?;
        rounds.push(((pair.0.per_second, pair.0.latency), pair.1));
    }
    limit.close().await;
    street.close().await?;
    own.close().await?;
    log.close().await?;
    Ok(row(&rounds))
}

/// Reads a second, and how long they took.
type Side = (f64, Summary);

fn row(rounds: &[(Side, Side)]) -> Row {
    let per_second: Vec<_> = rounds
        .iter()
        .map(|(ours, limit)| (ours.0, limit.0))
        .collect();
    let middle = |side: fn(&(Side, Side)) -> f64| median(rounds.iter().map(side));
    Row {
        path: "gRPC point read under RLS",
        limit: "the same transaction through sqlx alone",
        findings: vec![Finding::ratio(
            "reads/s",
            &per_second,
            Goal::RatioAtLeast(0.70),
        )],
        notes: vec![
            format!(
                "{READERS} readers at a time over {CONNECTIONS} HTTP/2 connections, API keys, \
                 pools of {POOL}"
            ),
            format!(
                "p50 ours {:.2} ms, limit {:.2} ms; p99 ours {:.2} ms, limit {:.2} ms",
                middle(|round| round.0.1.p50_ms),
                middle(|round| round.1.1.p50_ms),
                middle(|round| round.0.1.p99_ms),
                middle(|round| round.1.1.p99_ms),
            ),
        ],
    }
}
