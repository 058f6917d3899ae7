//! Every generation of a projection that stands, projected side by side.
//!
//! Each has a consumer group, a pool and a [`Projector`] of its own. Those that are
//! not read go slower while the live one has work (see [`Tempo`]); which one is
//! read is looked up again and again, so that nobody has to tell.
//!
//! [`Tempo`]: crate::Tempo

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use compline_eventlog::Log;
use compline_readmodel::{
    Database, Generation, Lease, Projection, Role,
    generation::{GenerationError, SCHEMA, Standing, standing},
};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    batch::chain,
    fold::ProjectionFold,
    run::{Projector, ProjectorConfig, ProjectorError},
    status::Status,
    tempo::{Activity, Tempo},
};

/// How long a generation that cannot be projected is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// How soon a generation that was made is projected, and one that was dropped is not.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum GenerationsError {
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error("cannot look which generations of {projection} there are")]
    Look {
        projection: &'static str,
        source: sqlx::Error,
    },
    #[error(transparent)]
    Projector(#[from] ProjectorError),
}

/// What its projectors are made of.
#[derive(Clone, Debug)]
pub struct GenerationsConfig {
    /// Most connections of each generation's projector.
    pub connections: u32,
    /// What each projector has in common with the others: all but its group.
    pub projector: ProjectorConfig,
}

/// The loops around the generations of one projection.
#[derive(Debug)]
pub struct Generations<P> {
    log: Log,
    database: Database,
    config: GenerationsConfig,
    look: PgPool,
    running: BTreeMap<Generation, Running>,
    /// Those that are not read and could not be projected, and until when they are
    /// left alone.
    failed: BTreeMap<Generation, Instant>,
    board: Board,
    live_activity: Activity,
    projection: PhantomData<fn() -> P>,
}

#[derive(Debug)]
struct Running {
    tempo: Tempo,
    status: Status,
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<(), ProjectorError>>,
}

impl<P: Projection> Generations<P> {
    /// Begins to project what stands by now.
    ///
    /// # Errors
    /// When there is no generation, or the live one is not for this build.
    pub async fn open(
        log: Log,
        database: Database,
        config: GenerationsConfig,
    ) -> Result<Self, GenerationsError> {
        let mut generations = Self {
            look: database.pool(Role::Projector, SCHEMA, 1),
            log,
            database,
            config,
            running: BTreeMap::new(),
            failed: BTreeMap::new(),
            board: Board::default(),
            live_activity: Activity::default(),
            projection: PhantomData,
        };
        let standing = generations.look().await?;
        let Some(live) = standing.iter().find(|each| each.is_live) else {
            return Err(GenerationError::Missing {
                projection: P::NAME.to_owned(),
            }
            .into());
        };
        live.fits::<P>()?;
        generations.follow(&standing).await?;
        Ok(generations)
    }

    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Runs until `stop`; batches in flight are finished.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), GenerationsError> {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                _ = looks.tick() => {}
            }
            let followed = match self.look().await {
                Ok(standing) => self.follow(&standing).await,
                // Whoever is projected goes on; partitions say themselves what they miss.
                Err(error) => {
                    tracing::warn!(projection = P::NAME, %error, "cannot look which generations stand");
                    Ok(())
                }
            };
            if let Err(error) = followed {
                break Err(error);
            }
        };
        let all = std::mem::take(&mut self.running);
        for running in all.values() {
            running.stop.cancel();
        }
        let mut first = ended;
        for running in all.into_values() {
            first = first.and(running.end().await.map_err(GenerationsError::from));
        }
        first
    }

    async fn look(&self) -> Result<Vec<Standing>, GenerationsError> {
        let failed = |source| GenerationsError::Look {
            projection: P::NAME,
            source,
        };
        let mut conn = Lease::of(&self.look).await.map_err(failed)?;
        let line = conn.line();
        let standing = line.heard(standing(&mut conn, P::NAME)).await;
        standing.map_err(failed)
    }

    /// Projects what stands and nothing else.
    async fn follow(&mut self, standing: &[Standing]) -> Result<(), GenerationsError> {
        let stands =
            |generation: &Generation| standing.iter().any(|each| each.generation == *generation);
        let ended: Vec<Generation> = self
            .running
            .iter()
            .filter(|(generation, running)| !stands(generation) || running.task.is_finished())
            .map(|(generation, _)| *generation)
            .collect();
        for generation in ended {
            if let Some(running) = self.running.remove(&generation) {
                let is_live = running.tempo.is_live();
                match running.end().await {
                    Err(error) if is_live => return Err(error.into()),
                    // The others go on.
                    Err(error) => {
                        self.board.refuse(generation, &error);
                        self.failed.insert(generation, Instant::now() + LEFT_ALONE);
                    }
                    Ok(()) => {}
                }
            }
        }
        self.failed.retain(|_, until| *until > Instant::now());
        self.board.keep(|generation| stands(&generation));
        for each in standing {
            if let Some(running) = self.running.get(&each.generation) {
                running.tempo.set_live(each.is_live);
                self.board
                    .show(each.generation, each.is_live, running.status.clone());
                continue;
            }
            if self.failed.contains_key(&each.generation) {
                continue;
            }
            match each.fits::<P>() {
                Ok(()) => self.begin(each),
                Err(error) => self.board.refuse(each.generation, &error),
            }
        }
        Ok(())
    }

    fn begin(&mut self, of: &Standing) {
        let (generation, is_live) = (of.generation, of.is_live);
        let mut config = self.config.projector.clone();
        config.group = format!("projector:{}:g{generation}", P::NAME);
        config.generation = generation;
        let tempo = Tempo::new(self.live_activity.clone(), is_live);
        config.tempo = tempo.clone();
        let connections = self.config.connections;
        let pool = self.database.pool(Role::Projector, &of.schema, connections);
        let fold = Arc::new(ProjectionFold::<P>::of(generation));
        let projector = Projector::new(fold, self.log.clone(), pool, config);
        let status = projector.status();
        self.board.show(generation, is_live, status.clone());
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(projector.run(stop.clone())));
        tracing::info!(projection = P::NAME, generation, is_live, "projecting");
        self.running.insert(
            generation,
            Running {
                tempo,
                status,
                stop,
                task,
            },
        );
    }
}

impl Running {
    async fn end(self) -> Result<(), ProjectorError> {
        self.stop.cancel();
        match self.task.await {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Ok(()),
        }
    }
}

/// What each generation's partitions are doing. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board {
    shown: Arc<Mutex<BTreeMap<Generation, Shown>>>,
}

#[derive(Debug)]
enum Shown {
    Projected { is_live: bool, status: Status },
    Refused { reason: String },
}

impl Board {
    /// Of the generation that is read.
    pub fn live(&self) -> Option<Status> {
        self.lock().values().find_map(|shown| match shown {
            Shown::Projected {
                is_live: true,
                status,
            } => Some(status.clone()),
            _ => None,
        })
    }

    /// The first thing that stands still, and why.
    pub fn stopped(&self) -> Option<String> {
        self.lock()
            .iter()
            .find_map(|(generation, shown)| match shown {
                Shown::Refused { reason } => Some(reason.clone()),
                Shown::Projected { status, .. } => {
                    let reason = status.stopped()?;
                    Some(format!("generation {generation}, {reason}"))
                }
            })
    }

    fn show(&self, generation: Generation, is_live: bool, status: Status) {
        let shown = Shown::Projected { is_live, status };
        self.lock().insert(generation, shown);
    }

    fn refuse(&self, generation: Generation, error: &dyn std::error::Error) {
        let reason = chain(error);
        let before = self.lock().insert(
            generation,
            Shown::Refused {
                reason: reason.clone(),
            },
        );
        if before.is_none() {
            tracing::error!(
                reason,
                "a generation is not projected, see docs/operations.md"
            );
        }
    }

    fn keep(&self, stands: impl Fn(Generation) -> bool) {
        self.lock().retain(|generation, _| stands(*generation));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Generation, Shown>> {
        self.shown
            .lock()
            .expect("nothing panics while it holds the board")
    }
}
