//! Row 2: events → Postgres read model.

mod events;
mod limit;
mod recording;
mod same;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use compline_ad_status::AdStatus;
use compline_event::Topic;
use compline_projector::{PartitionState, Projector, ProjectorConfig, Status};
use compline_readmodel::{
    Projection as _, Role,
    generation::{self, Generation, Plan, schema_name},
};
use sqlx::Connection as _;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Setting,
    ads::{ADS, TENANTS},
    house::{self, OwnDatabase, OwnLog, partitions_of},
    measure::{median, processor_seconds},
    report::{Finding, Goal, Row},
};
pub(crate) use events::Events;
use recording::{Recording, Transaction};

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
            (ours, transactions) = project(&own, &log, &events, number).await?;
        }
        let limit = write(&own, &events, &transactions, number).await?;
        if !ours_first {
            (ours, transactions) = project(&own, &log, &events, number).await?;
        }
        let (left, right) = (
            schema_name(AdStatus::NAME, number),
            schema_name(LIMIT, number),
        );
        same::check(&own, &left, &right).await?;
        rounds.push((ours, limit));
    }
    let version = own.version().to_owned();
    own.close().await?;
    log.close().await?;
    Ok(row(&rounds, count, transactions.len(), &version))
}

/// What one side of one round took, seconds.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// That were written meanwhile.
    events: usize,
    /// Until the first batch, before the clock began.
    start: f64,
    clock: f64,
    /// Of processors, by this process and by Postgres.
    own: f64,
    postgres: f64,
}

impl Spent {
    fn since_start(began: Instant, own: &OwnDatabase) -> Self {
        Self {
            events: 0,
            start: 0.0,
            clock: began.elapsed().as_secs_f64(),
            own: processor_seconds(),
            postgres: own.processor_seconds(),
        }
    }

    fn minus(self, before: Spent) -> Self {
        Self {
            clock: self.clock - before.clock,
            own: self.own - before.own,
            postgres: self.postgres - before.postgres,
            ..self
        }
    }
}

fn row(rounds: &[(Spent, Spent)], count: usize, batches: usize, version: &str) -> Row {
    #[allow(clippy::cast_precision_loss)]
    let each = |spent: &Spent, seconds: f64| seconds / spent.events as f64;
    let per_second: Vec<_> = rounds
        .iter()
        .map(|(ours, limit)| (1.0 / each(ours, ours.clock), 1.0 / each(limit, limit.clock)))
        .collect();
    let us = |seconds: fn(&Spent) -> f64, side: fn(&(Spent, Spent)) -> &Spent| {
        let of = |round| each(side(round), seconds(side(round))) * 1e6;
        median(rounds.iter().map(of))
    };
    Row {
        path: "events → Postgres read model",
        limit: "hand-written SQL writing the same rows in the same batches, no log, no decode",
        findings: vec![Finding::ratio(
            "events/s",
            &per_second,
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
            format!(
                "processor time of an event: ours {:.1} µs here and {:.1} µs in Postgres, \
                 limit {:.1} µs and {:.1} µs",
                us(|spent| spent.own, |round| &round.0),
                us(|spent| spent.postgres, |round| &round.0),
                us(|spent| spent.own, |round| &round.1),
                us(|spent| spent.postgres, |round| &round.1),
            ),
        ],
    }
}

/// Ours, from 0 to the end, into a generation of its own.
async fn project(
    own: &OwnDatabase,
    log: &OwnLog,
    events: &Events,
    number: Generation,
) -> Result<(Spent, Vec<Transaction>)> {
    let plan = plan(AdStatus::NAME, number);
    generation::create(&own.database, &plan).await?;
    settle(own).await?;
    let pool = own
        .database
        .pool(Role::Projector, &plan.schema, connections());
    let fold = Arc::new(Recording::<AdStatus>::default());
    let mut config = ProjectorConfig::new(format!("benches-{number}"), number);
    config.consumer.session_timeout = Duration::from_secs(30);
    let projector = Projector::new(fold.clone(), log.log.clone(), pool.clone(), config);
    let status = projector.status();
    let stop = CancellationToken::new();
    let running = AbortOnDropHandle::new(tokio::spawn(projector.run(stop.clone())));

    let started = Instant::now();
    wait_for(&status, |states| !states.is_empty()).await?;
    // The first batch waits for group, metadata and first fetch: a start, no speed.
    let first = wait_for(&status, |states| {
        states.iter().any(|(_, next_offset)| *next_offset > 0)
    });
    let applied_before: i64 = first
        .await?
        .iter()
        .map(|(_, next_offset)| next_offset)
        .sum();
    let start_seconds = started.elapsed().as_secs_f64();
    let began = Instant::now();
    let before = Spent::since_start(began, own);
    wait_for(&status, |states| {
        let done =
            |(partition, next_offset): &(i32, i64)| events.end_of(*partition) == *next_offset;
        states.len() == events.partitions() && states.iter().all(done)
    })
    .await?;
    let mut spent = Spent::since_start(began, own).minus(before);
    spent.start = start_seconds;
    spent.events = events.count() - usize::try_from(applied_before)?;
    stop.cancel();
    running.await??;
    pool.close().await;
    Ok((spent, fold.transactions()))
}

/// (partition, next offset) of those that run, once they are `enough`; an error
/// when one stands still.
async fn wait_for(
    status: &Status,
    enough: impl Fn(&[(i32, i64)]) -> bool,
) -> Result<Vec<(i32, i64)>> {
    loop {
        let mut running = Vec::new();
        for (_, partition, state) in status.partitions() {
            match state {
                PartitionState::Running { next_offset } => {
                    running.push((partition.0, next_offset.0));
                }
                PartitionState::Claiming
                | PartitionState::Held { .. }
                | PartitionState::Waiting { .. } => {}
                PartitionState::Retrying { reason } | PartitionState::Stopped { reason } => {
                    bail!("partition {partition} does not go on: {reason}")
                }
            }
        }
        if enough(&running) {
            return Ok(running);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
    let before = Spent::since_start(began, own);
    limit::write_all(&pool, number, batches).await?;
    let mut spent = Spent::since_start(began, own).minus(before);
    spent.events = events.count();
    pool.close().await;
    Ok(spent)
}

fn plan(projection: &str, number: Generation) -> Plan {
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
async fn settle(own: &OwnDatabase) -> Result<()> {
    let mut conn = own.superuser().await?;
    // Dead tuples of the checkpoints; and the written pages go to disk now.
    for statement in ["VACUUM ANALYZE compline.checkpoint", "CHECKPOINT"] {
        sqlx::query(statement).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}
