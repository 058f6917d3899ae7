//! Which inputs are decided over first: a wait for the engine's own checkpoints.
//!
//! Between two topics the log knows no order. But whatever a topic held when a
//! record of another was read came before it as far as anybody can tell: whoever
//! was answered that the former is in the log may have sent the latter. So before
//! a batch takes its locks, the ends of the topics that go first are asked for,
//! and the batch waits until the engine's checkpoints, whichever process moves
//! them, have reached these ends. Nothing waits for the others, so there is no
//! circle.

use std::time::Duration;

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, LogError};
use compline_readmodel::Lease;
use sqlx::PgPool;
use tokio::{sync::watch, time::Instant};

use crate::metric;

/// How often a batch that waits looks at what other processes have decided.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A wait that is worth a line in the log.
const LONG: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("the inputs that go first: the log")]
    Log(#[from] LogError),
    #[error("the inputs that go first: the database")]
    Database(#[from] sqlx::Error),
}

/// Where partitions end.
pub(crate) type Ends = Vec<(Topic, Partition, Offset)>;

#[derive(Debug)]
pub(crate) struct Order {
    engine: &'static str,
    first: &'static [Topic],
    log: Log,
    checkpoints: Checkpoints,
    /// Counts the commits of this process.
    moved: watch::Sender<u64>,
}

impl Order {
    pub(crate) fn new(
        engine: &'static str,
        first: &'static [Topic],
        log: Log,
        checkpoints: Checkpoints,
    ) -> Self {
        Self {
            engine,
            log,
            checkpoints,
            first,
            moved: watch::Sender::new(0),
        }
    }

    /// Somebody may have waited for what was just committed.
    pub(crate) fn moved(&self) {
        self.moved
            .send_modify(|commits| *commits = commits.wrapping_add(1));
    }

    /// Comes back when what `topic` has to wait for has been decided over.
    pub(crate) async fn wait(
        &self,
        topic: Topic,
        waits: &(dyn Fn(String) + Sync),
    ) -> Result<(), OrderError> {
        if self.first.is_empty() || self.first.contains(&topic) {
            return Ok(());
        }
        let began = Instant::now();
        let first: Vec<_> = partitions(self.first).collect();
        // Before the first look: no commit is missed.
        let mut moved = self.moved.subscribe();
        // Checkpoints only move on, so both may be asked for at once.
        let (ends, mut reached) = tokio::try_join!(
            async { self.log.ends(&first).await.map_err(OrderError::Log) },
            async { self.checkpoints.read().await.map_err(OrderError::Database) },
        )?;
        let mut told_at = began;
        loop {
            let behind = reached.behind(&ends);
            if behind.is_empty() {
                metrics::histogram!(metric::ORDER_SECONDS, "engine" => self.engine)
                    .record(began.elapsed().as_secs_f64());
                return Ok(());
            }
            let reason = describe(&behind);
            if told_at.elapsed() > LONG {
                tracing::warn!(engine = self.engine, %topic, reason, "inputs wait for others");
                told_at = Instant::now();
            }
            waits(reason);
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            reached = self.checkpoints.read().await?;
        }
    }
}

/// How far the engine is, in whichever processes.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    pub(crate) name: String,
    pub(crate) pool: PgPool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Reached(Vec<(String, i32, i64)>);

/// An input partition that is not where it must be.
#[derive(Debug)]
pub(crate) struct Behind {
    topic: Topic,
    partition: Partition,
    at: Option<Offset>,
    end: Offset,
}

impl Checkpoints {
    pub(crate) async fn read(&self) -> Result<Reached, sqlx::Error> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let rows = sqlx::query!(
            "SELECT topic, partition, next_offset FROM compline.checkpoint
             WHERE projection = $1 AND generation = 1",
            self.name,
        )
        .fetch_all(&mut *conn);
        let rows = line.heard(rows).await?;
        let rows = rows.into_iter();
        Ok(Reached(
            rows.map(|row| (row.topic, row.partition, row.next_offset))
                .collect(),
        ))
    }
}

impl Reached {
    /// Which of `ends` were not reached. One without a checkpoint never was.
    pub(crate) fn behind(&self, ends: &Ends) -> Vec<Behind> {
        let at = |topic: Topic, partition: Partition| {
            let row = |row: &&(String, i32, i64)| row.0 == topic.as_str() && row.1 == partition.0;
            self.0.iter().find(row).map(|row| Offset(row.2))
        };
        ends.iter()
            .filter_map(|&(topic, partition, end)| {
                let at = at(topic, partition);
                at.is_none_or(|at| at < end).then_some(Behind {
                    topic,
                    partition,
                    at,
                    end,
                })
            })
            .collect()
    }
}

/// Every partition of `topics`.
pub(crate) fn partitions(topics: &'static [Topic]) -> impl Iterator<Item = (Topic, Partition)> {
    topics
        .iter()
        .flat_map(|topic| Log::partitions(*topic).map(|partition| (*topic, partition)))
}

/// For whoever wonders why it does not go on.
pub(crate) fn describe(behind: &[Behind]) -> String {
    let lines: Vec<String> = behind
        .iter()
        .map(
            |Behind {
                 topic,
                 partition,
                 at,
                 end,
             }| match at {
                Some(at) => format!("{topic}/{partition} is decided up to {at} of {end}"),
                None => format!("{topic}/{partition} has no checkpoint"),
            },
        )
        .collect();
    lines.join(", ")
}
