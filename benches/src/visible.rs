//! Row 4: webhook → visible to a reader, the whole street in one process.

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
    client::{self, Watch, Watched},
    house::{self, OwnDatabase, OwnLog},
    measure::{Summary, median},
    report::{Finding, Goal, Row},
    street::{Street, announce_tenants},
};

const PER_SECOND: u32 = 1_000;
/// Over which the webhooks come in.
const CONNECTIONS: usize = 32;

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let folder = house::folder(&setting.folder)?;
    let log = OwnLog::open(&folder).await?;
    let own = OwnDatabase::open(&folder).await?;
    let mut street = Street::new(log.log.clone(), own.database.clone()).await?;
    street.decide().await?;
    street.project::<Tenancy>();
    street.project::<AdStatus>();
    street.project::<ActivityTrail>();
    let keys = announce_tenants(&log.log).await?;
    street
        .has_read(compline_tenancy::NAME, &[Topic::Tenant, Topic::Account])
        .await?;
    let ingress = street.take_in().await?;
    let query = street.answer().await?;
    let limit = limit::Limit::new(&log.log, &own).await?;

    let ours = |length| {
        client::ask(Watch {
            ingress,
            query,
            keys: keys.clone(),
            per_second: PER_SECOND,
            length,
            connections: CONNECTIONS,
        })
    };
    // Every ad once, so that all rows are there.
    eprintln!("visible: warming up");
    let every_ad = Duration::from_secs(ADS.div_ceil(PER_SECOND as usize) as u64);
    ours(every_ad).await?;
    limit.write(PER_SECOND, every_ad).await?;
    let length = Duration::from_secs(setting.choose(10, 5));
    let mut rounds = Vec::new();
    for number in 0..setting.choose(6, 2) {
        eprintln!("visible: round {}", number + 1);
        let pair = if number % 2 == 0 {
            let ours = ours(length).await?;
            (ours, limit.write(PER_SECOND, length).await?)
        } else {
            let limit = limit.write(PER_SECOND, length).await?;
            (ours(length).await?, limit)
        };
        street.check()?;
        rounds.push(pair);
    }
    limit.close().await;
    street.close().await?;
    own.close().await?;
    log.close().await?;
    Ok(row(&rounds))
}

fn row(rounds: &[(Watched, Summary)]) -> Row {
    let pairs = |number: fn(&Summary) -> f64| -> Vec<(f64, f64)> {
        rounds
            .iter()
            .map(|(ours, limit)| (number(&ours.visible), number(limit)))
            .collect()
    };
    let p99 = pairs(|summary| summary.p99_ms);
    let stage = |name: &str, of: fn(&Watched) -> Summary| {
        let middle =
            |number: fn(&Summary) -> f64| median(rounds.iter().map(|(ours, _)| number(&of(ours))));
        format!(
            "{name}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            middle(|summary| summary.p50_ms),
            middle(|summary| summary.p99_ms),
            middle(|summary| summary.max_ms),
        )
    };
    Row {
        path: "webhook → visible to a reader",
        limit: "the durable writes alone at the same rate: append, commit, append",
        findings: vec![
            Finding::ratio(
                "p50, ms",
                &pairs(|summary| summary.p50_ms),
                Goal::RatioAtMost(2.5),
            ),
            Finding::ratio("p99, ms", &p99, Goal::RatioAtMost(5.0)),
            Finding::at_most("p99, ms", median(p99.iter().map(|pair| pair.0)), 100.0),
        ],
        notes: vec![
            format!("{PER_SECOND} webhooks/s on schedule, counted from when each was due"),
            stage("acknowledged", |watched| watched.acknowledged),
            stage("decided by the engine", |watched| watched.decided),
            stage("told to a watcher", |watched| watched.visible),
        ],
    }
}
