//! Row 2: events → Postgres read model.

mod events;
mod limit;
mod recording;
mod running;
pub(crate) mod same;
pub(crate) mod spent;

use std::time::Instant;

use anyhow::Result;
use compline_ad_status::AdStatus;
use compline_event::Topic;
use compline_eventlog::Log;
use compline_readmodel::{
    Projection as _, Role,
    generation::{self, Generation, Plan, schema_name},
};
use sqlx::Connection as _;

use crate::{
    Setting,
    ads::{ADS, TENANTS},
    house::{self, OwnDatabase, OwnLog, partitions_of},
    measure::{median, processor_seconds},
    report::{Finding, Goal, Row},
};
pub(crate) use events::{Events, Nth};
use recording::Transaction;
use running::Running;
use spent::Spent;

/// Under which the limit's tables and checkpoints are kept.
const LIMIT: &str = "ad-status-limit";

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let folder = house::folder(&setting.folder)?;
    let log = OwnLog::open(&folder).await?;
    let own = OwnDatabase::open(&folder).await?;
    let count = setting.choose(400_000, 50_000);
    eprintln!("project: appending {count} events");
    let events = Events::append(&log.log, count).await?;

    let mut rounds = Vec::new();
    let mut transactions: Vec<Transaction> = Vec::new();
    for number in 1..=setting.choose(6, 2) {
        eprintln!("project: round {number}");
        // The limit takes the batches that ours made, so the very first is ours.
        let ours_first = number % 2 == 1;
        let mut ours = Spent::default();
        if ours_first {
            (ours, transactions) = project(&own, &log.log, &events, number).await?;
        }
        let limit = write(&own, &events, &transactions, number).await?;
        if !ours_first {
            (ours, transactions) = project(&own, &log.log, &events, number).await?;
        }
        let (left, right) = (
            schema_name(AdStatus::NAME, number),
            schema_name(LIMIT, number),
        );
        same::check(&own, &left, &right, &same::ALL).await?;
        rounds.push((ours, limit));
    }
    let version = own.version().to_owned();
    own.close().await?;
    log.close().await?;
    Ok(row(&rounds, count, transactions.len(), &version))
}

fn row(rounds: &[(Spent, Spent)], count: usize, batches: usize, version: &str) -> Row {
    Row {
        path: "events → Postgres read model",
        limit: "hand-written SQL writing the same rows in the same batches, no log, no decode",
        findings: vec![Finding::ratio(
            "events/s",
            &spent::per_second(rounds),
            Goal::RatioAtLeast(0.80),
        )],
        notes: vec![
            format!(
                "{count} AdStatusChanged of {ADS} ads of {TENANTS} tenants in {batches} transactions, \
                 PostgreSQL {version}; both left the same rows in every round"
            ),
            format!(
                "from the first commit to the last; ours came {:.0} ms after joining the group",
                median(rounds.iter().map(|(ours, _)| ours.start)) * 1e3
            ),
            spent::processor_time(rounds, "limit"),
        ],
    }
}

/// Ours, from 0 to the end, into a generation of its own.
async fn project(
    own: &OwnDatabase,
    log: &Log,
    events: &Events,
    number: Generation,
) -> Result<(Spent, Vec<Transaction>)> {
    let running = Running::start(own, log, number).await?;
    let started = Instant::now();
    running.wait_for(|states| !states.is_empty()).await?;
    // The first batch waits for group, metadata and first fetch: a start, no speed.
    let first = running.wait_for(|states| states.iter().any(|(_, next)| *next > 0));
    let applied_before: i64 = first.await?.iter().map(|(_, next)| next).sum();
    let start_seconds = started.elapsed().as_secs_f64();
    let began = Instant::now();
    let before = Spent::since_start(began, processor_seconds(), own);
    running.wait_for_all(events).await?;
    let mut spent = Spent::since_start(began, processor_seconds(), own).minus(before);
    spent.start = start_seconds;
    spent.events = events.count() - usize::try_from(applied_before)?;
    Ok((spent, running.stop().await?))
}

/// As much for who stands beside ours with something else than the limit.
pub(crate) async fn ours(
    own: &OwnDatabase,
    log: &Log,
    events: &Events,
    number: Generation,
) -> Result<Spent> {
    Ok(project(own, log, events, number).await?.0)
}

/// From the first of `count` appends to the commit of the last, into a generation of its
/// own, with a projector that reads already. The topic is empty.
pub(crate) async fn ours_as_told(
    own: &OwnDatabase,
    log: &Log,
    count: usize,
    number: Generation,
) -> Result<(Spent, Events)> {
    let running = Running::start(own, log, number).await?;
    let all = usize::try_from(connections())?;
    running.wait_for(|states| states.len() == all).await?;
    let began = Instant::now();
    let before = Spent::since_start(began, processor_seconds(), own);
    let events = Events::append(log, count).await?;
    running.wait_for_all(&events).await?;
    let mut spent = Spent::since_start(began, processor_seconds(), own).minus(before);
    spent.events = count;
    running.stop().await?;
    Ok((spent, events))
}

/// The limit, into tables that are made the same way.
async fn write(
    own: &OwnDatabase,
    events: &Events,
    transactions: &[Transaction],
    number: Generation,
) -> Result<Spent> {
    let plan = plan(LIMIT, number);
    generation::create(&own.database, &plan).await?;
    let batches = limit::batches(events, transactions);
    settle(own).await?;
    let pool = own
        .database
        .pool(Role::Projector, &plan.schema, connections());
    // Connecting is not counted for ours either.
    let mut warm = Vec::new();
    for _ in 0..connections() {
        warm.push(pool.acquire().await?);
    }
    drop(warm);
    let began = Instant::now();
    let before = Spent::since_start(began, processor_seconds(), own);
    limit::write_all(&pool, number, batches).await?;
    let mut spent = Spent::since_start(began, processor_seconds(), own).minus(before);
    spent.events = events.count();
    pool.close().await;
    Ok(spent)
}

/// Tables as the projection has them, under another name or its own.
pub(crate) fn plan(projection: &str, number: Generation) -> Plan {
    let first = Plan::first::<AdStatus>(partitions_of);
    Plan {
        projection: projection.to_owned(),
        generation: number,
        schema: schema_name(projection, number),
        ..first
    }
}

/// A connection for each partition, for both.
fn connections() -> u32 {
    partitions_of(Topic::Ad)
}

/// What earlier rounds left to do is not done in this one.
pub(crate) async fn settle(own: &OwnDatabase) -> Result<()> {
    let mut conn = own.superuser().await?;
    // Dead tuples of the checkpoints; and the written pages go to disk now.
    for statement in ["VACUUM ANALYZE compline.checkpoint", "CHECKPOINT"] {
        sqlx::query(statement).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}
