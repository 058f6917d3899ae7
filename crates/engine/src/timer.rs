//! What time alone brings, once everything before that time has been decided over.
//!
//! An engine that was away for days may find, in the log, the very input that
//! somebody was waiting for. To end the waiting by the clock before that input is
//! read would decide otherwise than an engine that was there all along.

use std::{sync::Arc, time::Duration};

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, LogError};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    checkpoint_name,
    engine::{Engine, Outputs},
    fold::EngineFold,
    outbox::Unsendable,
};

const INTERVAL: Duration = Duration::from_secs(60);

/// How often a timer that waits for its inputs looks where they are.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Timer<E> {
    pub(crate) fold: Arc<EngineFold<E>>,
    pub(crate) log: Log,
    pub(crate) pool: PgPool,
    pub(crate) stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum TickError {
    #[error("the log: {0}")]
    Log(#[from] LogError),
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

/// Where an input partition ended at some time.
type Ends = Vec<(Topic, Partition, Offset)>;

impl<E: Engine> Timer<E> {
    /// Runs until `stop`. What fails is tried again at the next tick.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let ticked = tokio::select! {
                () = self.stop.cancelled() => return,
                ticked = self.tick() => ticked,
            };
            if let Err(error) = ticked {
                tracing::warn!(engine = E::NAME, %error, "the timer's work is put off");
            }
        }
    }

    async fn tick(&self) -> Result<(), String> {
        let now = OffsetDateTime::now_utc();
        let ends = self.ends().await.map_err(|error| error.to_string())?;
        while !self
            .passed(&ends)
            .await
            .map_err(|error| error.to_string())?
        {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        while self.once(now).await.map_err(|error| error.to_string())? {}
        Ok(())
    }

    async fn ends(&self) -> Result<Ends, compline_eventlog::LogError> {
        let mut ends = Ends::new();
        for topic in E::INPUTS {
            for partition in Log::partitions(*topic) {
                let bounds = self.log.bounds(*topic, partition).await?;
                ends.push((*topic, partition, bounds.end));
            }
        }
        Ok(ends)
    }

    /// Whether the engine, in whichever process, has decided over all below `ends`.
    async fn passed(&self, ends: &Ends) -> Result<bool, sqlx::Error> {
        let rows = sqlx::query!(
            "SELECT topic, partition, next_offset FROM compline.checkpoint
             WHERE projection = $1 AND generation = 1",
            checkpoint_name(E::NAME),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ends.iter().all(|(topic, partition, end)| {
            rows.iter().any(|row| {
                row.topic == topic.as_str()
                    && row.partition == partition.0
                    && row.next_offset >= end.0
            })
        }))
    }

    /// One transaction of the engine's timer; whether there may be more to do.
    async fn once(&self, now: OffsetDateTime) -> Result<bool, TickError> {
        let mut tx = self.pool.begin().await?;
        let mut outputs = Outputs::default();
        self.fold.engine.tick(&mut tx, now, &mut outputs).await?;
        let said_something = !outputs.is_empty();
        for output in outputs.since(0) {
            self.fold.destinations.check(output)?;
        }
        self.fold.seal(&mut tx, outputs).await?;
        tx.commit().await?;
        self.fold.decided.notify_one();
        Ok(said_something)
    }
}
