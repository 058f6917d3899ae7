//! An engine at work: the loop over its inputs, its relay, its timer.

use std::{sync::Arc, time::Duration};

use compline_eventlog::{Log, TopicSpec};
use compline_projector::{
    Projector, ProjectorConfig, ProjectorError, RedriveError, RedriveMode, Redriven, Status,
    redrive,
};
use compline_readmodel::{Database, Lease, Place, Role};
use sqlx::PgPool;
use tokio::task::JoinError;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    checkpoint_name, depth,
    engine::Engine,
    fold::EngineFold,
    metric,
    outbox::{Destination, Destinations},
    recovery::RecoveryError,
    relay::Relay,
    state_schema,
    timer::Timer,
};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub max_connections: u32,
    /// Most inputs decided in one transaction.
    pub batch_records: usize,
    /// Most bytes of inputs decided in one transaction. A webhook of 2 MB may hold
    /// 1,000 changes, and each makes several outputs.
    pub batch_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            max_connections: 10,
            batch_records: 1_000,
            batch_bytes: 2 * 1024 * 1024,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "engine {engine}: its database has synchronous_commit = {found}; a decision that is told \
         must not be forgotten, so it must be on"
    )]
    ForgetfulDatabase { engine: &'static str, found: String },
    #[error("engine {engine}")]
    Recovery {
        engine: &'static str,
        source: RecoveryError,
    },
    #[error("engine {engine}: the database")]
    Database {
        engine: &'static str,
        source: sqlx::Error,
    },
    #[error("engine {engine}: its {task} ended by itself: {reason}")]
    EndedAlone {
        engine: &'static str,
        task: &'static str,
        reason: String,
    },
    #[error(transparent)]
    Loop(#[from] ProjectorError),
}

/// Everything of one engine in one process. Several processes share the inputs by
/// consumer group; one of them relays.
#[derive(Debug)]
pub struct EngineRunner<E> {
    fold: Arc<EngineFold<E>>,
    projector: Projector<EngineFold<E>>,
    log: Log,
    database: Database,
    pool: PgPool,
}

impl<E: Engine> EngineRunner<E> {
    pub fn new(engine: E, log: Log, database: Database, config: &EngineConfig) -> Self {
        let destinations = Destinations::new(E::OUTPUTS.iter().map(|topic| {
            let spec = TopicSpec::of(*topic);
            let destination = Destination {
                partitions: spec.partitions,
                max_record_bytes: spec.max_record_bytes,
            };
            (*topic, destination)
        }));
        let pool = database.pool(Role::Engine, &state_schema(E::NAME), config.max_connections);
        let fold = EngineFold::new(engine, destinations, log.clone(), pool.clone());
        let fold = Arc::new(fold);
        let mut loop_config = ProjectorConfig::new(checkpoint_name(E::NAME), 1);
        loop_config.batch_records = config.batch_records;
        loop_config.batch_bytes = config.batch_bytes;
        let projector = Projector::new(fold.clone(), log.clone(), pool.clone(), loop_config);
        Self {
            fold,
            projector,
            log,
            database,
            pool,
        }
    }

    pub fn status(&self) -> Status {
        self.projector.status()
    }

    /// Decides over a parked key's inputs today. What comes of it is told by whoever
    /// runs the engine.
    pub async fn redrive(
        &self,
        place: &Place,
        key: &[u8],
        mode: RedriveMode,
    ) -> Result<Redriven, RedriveError> {
        let mut conn = self.pool.acquire().await?;
        redrive(&mut conn, &self.log, &*self.fold, place, key, mode).await
    }

    /// Runs until `stop`; batches in flight are finished and told.
    pub async fn run(self, stop: CancellationToken) -> Result<(), EngineError> {
        metric::register(E::NAME);
        let depth = depth::watch(E::NAME, E::OUTPUTS, self.pool.clone());
        let _watching = AbortOnDropHandle::new(tokio::spawn(depth));
        self.check_durability().await?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            adopted = self.adopt() => adopted?,
        }
        let loop_stop = stop.child_token();
        // The relay outlives the loop, to tell what its last batch decided.
        let relay_stop = CancellationToken::new();
        let relay = Relay {
            engine: E::NAME,
            log: self.log.clone(),
            database: self.database,
            decided: self.fold.decided.clone(),
            recovery: self.fold.recovery.clone(),
            stop: relay_stop.clone(),
        };
        let timer = Timer {
            fold: self.fold,
            log: self.log,
            pool: self.pool,
            stop: loop_stop.clone(),
        };
        // Nothing goes on alone when this future is dropped.
        let mut relaying = AbortOnDropHandle::new(tokio::spawn(relay.run()));
        let mut ticking = AbortOnDropHandle::new(tokio::spawn(timer.run()));
        let ended = tokio::select! {
            ended = self.projector.run(loop_stop.clone()) => ended.map_err(EngineError::from),
            ended = &mut relaying => return Err(ended_alone::<E>("relay", ended)),
            ended = before(&stop, &mut ticking) => return Err(ended_alone::<E>("timer", ended)),
        };
        loop_stop.cancel();
        relay_stop.cancel();
        if let Err(error) = relaying.await {
            return Err(ended_alone::<E>("relay", Err(error)));
        }
        ended
    }

    /// Waits for a log or a database that is away.
    async fn adopt(&self) -> Result<(), EngineError> {
        let mut delay = FIRST_DELAY;
        loop {
            match self.fold.recovery.adopt().await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(
                        engine = E::NAME,
                        error = &error as &dyn std::error::Error,
                        "the look into the log begins anew after a back-off"
                    );
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
                // Each partition meets it when it is claimed, and says so.
                Err(error) if error.is_damage() => return Ok(()),
                adopted => {
                    return adopted.map_err(|source| EngineError::Recovery {
                        engine: E::NAME,
                        source,
                    });
                }
            }
        }
    }

    async fn check_durability(&self) -> Result<(), EngineError> {
        let asked = async {
            let mut conn = Lease::of(&self.pool).await?;
            let line = conn.line();
            let asked = sqlx::query_scalar("SELECT current_setting('synchronous_commit')");
            line.heard(asked.fetch_one(&mut *conn)).await
        };
        let found: String = asked.await.map_err(|source| EngineError::Database {
            engine: E::NAME,
            source,
        })?;
        match found.as_str() {
            "on" | "remote_apply" => Ok(()),
            _ => Err(EngineError::ForgetfulDatabase {
                engine: E::NAME,
                found,
            }),
        }
    }
}

/// How a task ended, if it did before it was told to.
async fn before(
    stop: &CancellationToken,
    task: &mut AbortOnDropHandle<()>,
) -> Result<(), JoinError> {
    let ended = task.await;
    if stop.is_cancelled() {
        std::future::pending::<()>().await;
    }
    ended
}

fn ended_alone<E: Engine>(task: &'static str, ended: Result<(), JoinError>) -> EngineError {
    let reason = match ended {
        Ok(()) => "it returned".to_owned(),
        Err(error) => error.to_string(),
    };
    EngineError::EndedAlone {
        engine: E::NAME,
        task,
        reason,
    }
}
