//! Kafka Connect with Debezium's JDBC sink: the same rows, from the same Kafka into the
//! same Postgres.
//!
//! The sink folds nothing, so its topic holds what our fold makes of each event: the row
//! of `ad`. It writes that one table; ours writes history and counts besides.

mod rows;
mod worker;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use compline_eventlog::{Log, LogConfig};
use compline_readmodel::generation::{self, Generation, schema_name};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    Setting,
    ads::{ADS, TENANTS},
    house::{self, OwnDatabase},
    log::{Durability, KAFKA, Node},
    project::{
        self, Events, same,
        spent::{self, Spent},
    },
    report::{Finding, Goal, Row},
    script,
};
use worker::Worker;

/// Under which the sink's tables are kept.
const SINK: &str = "ad-status-sink";
const POLL: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let jars = script::folder_from(KAFKA, &[]).await?;
    let connect = script::folder_from("peers/connect/install", &[]).await?;
    let folder = house::folder(&setting.folder)?;
    let kafka = Node::kafka(&jars, &folder.path().join("kafka"), Durability::Relaxed).await?;
    let log = Log::new(LogConfig::new(&kafka.bootstrap))?;
    log.ensure_topics().await?;
    let own = OwnDatabase::open(&folder).await?;
    let count = setting.choose(400_000, 20_000);
    eprintln!("connect: appending {count} events, and as many rows");
    let events = Events::append(&log, count).await?;
    rows::append(&kafka.bootstrap, &events).await?;
    let mut worker = Worker::start(&connect, folder.path(), &kafka.bootstrap).await?;

    eprintln!("connect: warming up");
    // A JVM compiles what it runs often.
    sink(&own, &mut worker, count, 1).await?;
    let mut rounds = Vec::new();
    for number in 2..2 + setting.choose(5, 1) {
        eprintln!("connect: round {}", number - 1);
        let (ours, peer);
        if number % 2 == 0 {
            ours = project::ours(&own, &log, &events, number).await?;
            peer = sink(&own, &mut worker, count, number).await?;
        } else {
            peer = sink(&own, &mut worker, count, number).await?;
            ours = project::ours(&own, &log, &events, number).await?;
        }
        let schema = |of| schema_name(of, number);
        same::check(
            &own,
            &schema(compline_ad_status::NAME),
            &schema(SINK),
            &["ad"],
        )
        .await?;
        rounds.push((ours, peer));
    }
    let version = own.version().to_owned();
    worker.stop().await?;
    own.close().await?;
    kafka.stop().await?;
    Ok(row(&rounds, count, &version))
}

/// The peer, from 0 to the end, into tables that are made the same way.
async fn sink(
    own: &OwnDatabase,
    worker: &mut Worker,
    count: usize,
    number: Generation,
) -> Result<Spent> {
    let plan = project::plan(SINK, number);
    generation::create(&own.database, &plan).await?;
    project::settle(own).await?;
    let mut conn = own.superuser().await?;
    let name = format!("ads-{number}");
    let started = Instant::now();
    worker.sink(&name, own, &plan.schema).await?;
    let applied_before = wait_for(1, &mut conn, &plan.schema, worker, &name).await?;
    let start_seconds = started.elapsed().as_secs_f64();
    let began = Instant::now();
    let before = Spent::since_start(began, worker.processor_seconds(), own);
    wait_for(count, &mut conn, &plan.schema, worker, &name).await?;
    let mut spent = Spent::since_start(began, worker.processor_seconds(), own).minus(before);
    spent.start = start_seconds;
    spent.events = count - applied_before;
    worker.end(&name).await?;
    Ok(spent)
}

/// How many events are in the table, once they are `enough`. A row's version counts the
/// events that made it.
async fn wait_for(
    enough: usize,
    conn: &mut PgConnection,
    schema: &str,
    worker: &mut Worker,
    name: &str,
) -> Result<usize> {
    let began = Instant::now();
    // The name is ours.
    let statement = format!("SELECT coalesce(sum(version), 0)::bigint FROM {schema}.ad");
    loop {
        let applied: i64 = sqlx::query_scalar(AssertSqlSafe(statement.clone()))
            .fetch_one(&mut *conn)
            .await?;
        let applied = usize::try_from(applied)?;
        if applied >= enough {
            return Ok(applied);
        }
        ensure!(began.elapsed() < LONGEST, "only {applied} of {enough} came");
        tokio::time::sleep(POLL).await;
        worker.check(name).await.context("the sink")?;
    }
}

fn row(rounds: &[(Spent, Spent)], count: usize, version: &str) -> Row {
    Row {
        path: "events on Kafka → Postgres read model",
        limit: "Kafka Connect 4.3.1 with Debezium's JDBC sink, upserts of the finished rows of one table",
        findings: vec![Finding::ratio(
            "events/s",
            &spent::per_second(rounds),
            Goal::RatioAtLeast(1.0),
        )],
        notes: vec![
            format!(
                "{count} AdStatusChanged of {ADS} ads of {TENANTS} tenants on Apache Kafka with one \
                 node, PostgreSQL {version}; both left the same rows of ad in every round"
            ),
            "ours decodes, folds, and writes history and counts as well; the sink reads the row \
             as JSON, its schema given beforehand, and upserts it"
                .to_owned(),
            spent::processor_time(rounds, "the worker"),
        ],
    }
}
