//! What time alone brings, and what was too much for a batch.
//!
//! An engine that was away for days may find, in the log, the very input that
//! somebody was waiting for. To end the waiting by the clock before that input is
//! read would decide otherwise than an engine that was there all along. So an
//! engine is told up to when everything has been decided over; while a partition
//! is behind, it is told nothing of time and does the rest.

use std::{sync::Arc, time::Duration};

use compline_eventlog::{Log, LogError};
use compline_projector::Fold as _;
use compline_readmodel::Lease;
use sqlx::{Connection as _, PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Engine, Outputs, Tick},
    fold::EngineFold,
    order::{Ends, describe, partitions},
    outbox::Unsendable,
    recovery::RecoveryError,
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
    #[error("the log")]
    Log(#[from] LogError),
    #[error("what the log holds")]
    Recovery(#[from] RecoveryError),
    #[error("the database")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

/// All that the log held at some time.
struct Horizon {
    at: OffsetDateTime,
    /// The same moment by the database's clock.
    database_at: OffsetDateTime,
    ends: Ends,
}

impl<E: Engine> Timer<E> {
    /// Runs until `stop`. What fails is tried again at the next tick.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The one that is waited for; a newer one might never be reached.
        let mut horizon = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let done = tokio::select! {
                () = self.stop.cancelled() => return,
                done = self.turn(&mut horizon) => done,
            };
            if let Err(error) = done {
                tracing::warn!(
                    engine = E::NAME,
                    error = &error as &dyn std::error::Error,
                    "the timer's work is put off"
                );
            }
        }
    }

    async fn turn(&self, awaited: &mut Option<Horizon>) -> Result<(), TickError> {
        self.fold.recovery.adopt().await?;
        let horizon = match awaited.take() {
            Some(horizon) => horizon,
            None => self.look_out().await?,
        };
        let horizon = awaited.insert(horizon);
        if !self.passed(&horizon.ends).await? {
            self.work(None).await?;
            if !self.passed_in_time(&horizon.ends).await? {
                return Ok(());
            }
        }
        // The database may have gone back while it was waited for.
        self.fold.recovery.adopt().await?;
        if !self.passed(&horizon.ends).await? {
            return Ok(());
        }
        self.work(Some(horizon.at)).await?;
        let (name, found_before) = (&self.fold.checkpoints.name, horizon.database_at);
        self.fold.recovery.finish(name, found_before).await?;
        *awaited = None;
        Ok(())
    }

    async fn look_out(&self) -> Result<Horizon, TickError> {
        let inputs: Vec<_> = partitions(E::INPUTS).collect();
        // The times before the ends: the log may hold more than it did then, not
        // less.
        let (at, database_at) = (OffsetDateTime::now_utc(), self.fold.recovery.now().await?);
        Ok(Horizon {
            at,
            database_at,
            ends: self.log.ends(&inputs).await?,
        })
    }

    /// Waits for as long as no other turn is due.
    async fn passed_in_time(&self, ends: &Ends) -> Result<bool, sqlx::Error> {
        let began = Instant::now();
        while !self.passed(ends).await? {
            if began.elapsed() + LOOK_INTERVAL > INTERVAL {
                let reached = self.fold.checkpoints.read().await?;
                let reason = describe(&reached.behind(ends));
                tracing::warn!(engine = E::NAME, reason, "no waiting period ends");
                return Ok(false);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(true)
    }

    /// Whether the engine, in whichever process, has decided over all below `ends`.
    async fn passed(&self, ends: &Ends) -> Result<bool, sqlx::Error> {
        let reached = self.fold.checkpoints.read().await?;
        Ok(reached.behind(ends).is_empty())
    }

    async fn work(&self, decided_until: Option<OffsetDateTime>) -> Result<(), TickError> {
        let mut ticked = Tick::More;
        while ticked == Tick::More {
            ticked = self.once(decided_until).await?;
        }
        Ok(())
    }

    /// One transaction of the engine's timer.
    async fn once(&self, decided_until: Option<OffsetDateTime>) -> Result<Tick, TickError> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let ticked = line.heard(self.tick(&mut conn, decided_until)).await?;
        self.fold.committed();
        Ok(ticked)
    }

    async fn tick(
        &self,
        conn: &mut PgConnection,
        decided_until: Option<OffsetDateTime>,
    ) -> Result<Tick, TickError> {
        let mut tx = conn.begin().await?;
        let mut outputs = Outputs::default();
        let engine = &self.fold.engine;
        let ticked = engine.tick(&mut tx, decided_until, &mut outputs).await?;
        for output in outputs.since(0) {
            self.fold.destinations.check(output)?;
        }
        self.fold.seal(&mut tx, outputs).await?;
        tx.commit().await?;
        Ok(ticked)
    }
}
