//! Row 5: a generation built anew from the log's beginning, alone and beside live
//! traffic.
//!
//! The live generation stands at the log's end from the start, so that all there is to
//! do is the rebuild's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use compline_ad_status::AdStatus;
use compline_event::{Offset, Topic};
use compline_eventlog::Log;
use compline_projector::{Generations, GenerationsConfig, ProjectorConfig};
use compline_readmodel::{
    Generation, Projection as _, Steward,
    generation::{self, Plan},
};
use sqlx::{Connection as _, PgConnection};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Setting,
    house::{self, OwnDatabase, OwnLog, partitions_of},
    measure::{median, resident_mib},
    project::Events,
    report::{Finding, Goal, Row},
};

const POLL: Duration = Duration::from_millis(50);

/// As `up` has by default.
const CONNECTIONS: u32 = 8;

pub(crate) async fn measure(setting: &Setting) -> Result<Row> {
    let folder = house::folder(&setting.folder)?;
    let log = OwnLog::open(&folder).await?;
    let own = OwnDatabase::open(&folder).await?;
    let count = setting.choose(10_000_000, 100_000);
    eprintln!("rebuild: appending {count} events");
    let mut events = Events::append(&log.log, count).await?;
    live_at_the_end(&own, &events).await?;

    eprintln!("rebuild: reading and decoding alone");
    let limit = decode_all(&log.log, &events).await?;
    eprintln!("rebuild: a generation from the beginning");
    let (ours, memory) = rebuild(&own, &log, &events).await?;

    let mut live = Vec::new();
    let backlog = setting.choose(300_000, 20_000);
    for round in 1..=setting.choose(4, 1) {
        eprintln!("rebuild: live traffic, round {round}");
        events.append_more(&log.log, backlog).await?;
        let beside = drain(&own, &log, &events, backlog, Beside::Rebuild).await?;
        events.append_more(&log.log, backlog).await?;
        let alone = drain(&own, &log, &events, backlog, Beside::Nothing).await?;
        live.push((beside, alone));
    }
    let version = own.version().to_owned();
    own.close().await?;
    log.close().await?;
    let [early, late] = memory;
    Ok(Row {
        path: "rebuild of 10 M events",
        limit: "consume and decode alone; live traffic without a rebuild beside it",
        findings: vec![
            Finding::ratio("events/s", &[(ours, limit)], Goal::RatioAtLeast(0.50)),
            Finding::ratio("live events/s meanwhile", &live, Goal::RatioAtLeast(0.67)),
        ],
        notes: vec![
            format!("{count} AdStatusChanged, PostgreSQL {version}"),
            format!(
                "resident memory of this process, log included: {early:.0} MiB after a tenth of \
                 the events, {late:.0} MiB at the end"
            ),
            format!(
                "live traffic is a backlog of {backlog} events, taken at {:.0} events/s beside the \
                 rebuild",
                median(live.iter().map(|(beside, _)| *beside))
            ),
        ],
    })
}

/// A live generation that has nothing to do.
async fn live_at_the_end(own: &OwnDatabase, events: &Events) -> Result<()> {
    let mut plan = Plan::first::<AdStatus>(partitions_of);
    for (_, partition, start) in &mut plan.starts {
        *start = Offset(events.end_of(partition.0));
    }
    Ok(generation::create(&own.database, &plan).await?)
}

/// Events a second, all partitions at once.
async fn decode_all(log: &Log, events: &Events) -> Result<f64> {
    let began = Instant::now();
    let mut reading = tokio::task::JoinSet::new();
    for partition in Log::partitions(Topic::Ad) {
        let (log, end) = (log.clone(), Offset(events.end_of(partition.0)));
        reading.spawn(async move {
            let mut replay = log.replay(Topic::Ad, partition, Offset(0), end)?;
            while let Some(records) = replay.next_batch().await? {
                for record in &records {
                    std::hint::black_box(record.decode()?);
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(read) = reading.join_next().await {
        read??;
    }
    Ok(per_second(events.count(), began))
}

/// Events a second, and the memory after a tenth of them and at the end.
async fn rebuild(own: &OwnDatabase, log: &OwnLog, events: &Events) -> Result<(f64, [f64; 2])> {
    let running = Running::start(own, log).await?;
    let mut conn = own.superuser().await?;
    let candidate = make(own).await?;
    let began = Instant::now();
    let all = i64::try_from(events.count())?;
    reached(&mut conn, candidate, all / 10).await?;
    let early = resident_mib();
    reached(&mut conn, candidate, all).await?;
    let speed = per_second(events.count(), began);
    let late = resident_mib();
    running.stop().await?;
    drop_generation(own, candidate).await?;
    conn.close().await?;
    Ok((speed, [early, late]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Rebuild,
    Nothing,
}

/// How fast the live generation takes a backlog.
async fn drain(
    own: &OwnDatabase,
    log: &OwnLog,
    events: &Events,
    backlog: usize,
    beside: Beside,
) -> Result<f64> {
    let mut conn = own.superuser().await?;
    let candidate = match beside {
        Beside::Rebuild => Some(make(own).await?),
        Beside::Nothing => None,
    };
    let running = Running::start(own, log).await?;
    let all = i64::try_from(events.count())?;
    let first = all - i64::try_from(backlog)? + 1;
    reached(&mut conn, 1, first).await?;
    if let Some(candidate) = candidate {
        reached(&mut conn, candidate, 1).await?;
    }
    let (began, before) = (Instant::now(), applied(&mut conn, 1).await?);
    reached(&mut conn, 1, all).await?;
    let speed = per_second(usize::try_from(all - before)?, began);
    running.stop().await?;
    if let Some(candidate) = candidate {
        drop_generation(own, candidate).await?;
    }
    conn.close().await?;
    Ok(speed)
}

/// The projector role.
struct Running {
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<()>>,
}

impl Running {
    async fn start(own: &OwnDatabase, log: &OwnLog) -> Result<Self> {
        let config = GenerationsConfig {
            connections: CONNECTIONS,
            projector: ProjectorConfig::new("", 0),
        };
        let (log, database) = (log.log.clone(), own.database.clone());
        let generations = Generations::<AdStatus>::open(log, database, config).await?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = async move { Ok(generations.run(stopped).await?) };
        Ok(Self {
            stop,
            task: AbortOnDropHandle::new(tokio::spawn(run)),
        })
    }

    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn make(own: &OwnDatabase) -> Result<Generation> {
    let mut steward = Steward::take(&own.database, AdStatus::NAME).await?;
    Ok(steward.rebuild::<AdStatus>(partitions_of).await?)
}

async fn drop_generation(own: &OwnDatabase, generation: Generation) -> Result<()> {
    let mut steward = Steward::take(&own.database, AdStatus::NAME).await?;
    Ok(steward.drop_generation(generation).await?)
}

async fn reached(conn: &mut PgConnection, generation: Generation, events: i64) -> Result<()> {
    while applied(conn, generation).await? < events {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn applied(conn: &mut PgConnection, generation: Generation) -> Result<i64> {
    let standing = generation::standing(conn, AdStatus::NAME).await?;
    let found = standing.iter().find(|each| each.generation == generation);
    Ok(found.context("the generation stands")?.applied)
}

fn per_second(count: usize, began: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    count / began.elapsed().as_secs_f64()
}
