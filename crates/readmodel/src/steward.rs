//! The one session that changes which generations of a projection there are and
//! which is read (protocol §5).
//!
//! ```text
//!   rebuild ─▶ standing, projected beside the live one ─▶ promote ─▶ live
//!                 ▲            │                                      │
//!                 │            └─▶ drop                               │
//!                 └──────────────────── rollback promotes the one before
//! ```
//!
//! Promote locks the live generation's checkpoints until the other has reached
//! them: a token that was good before is good after. Readers take the pointer in
//! their own transaction and are never kept waiting.

pub(crate) mod switch;

use std::time::Duration;

use compline_event::{Partition, Topic};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

pub use self::switch::{Promotion, Switched};
use crate::{
    generation::{
        self, Generation, GenerationError, Plan, SCHEMA, Standing, schema_name, standing,
    },
    hold,
    pool::Database,
    projection::Projection,
    role::Role,
};

/// How long a change by somebody else is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum StewardError {
    #[error("somebody else changes or compares the generations of {projection} just now")]
    Busy { projection: String },
    #[error(
        "{projection} has no generation {generation}; there are {}",
        list(.standing)
    )]
    Unknown {
        projection: String,
        generation: Generation,
        standing: Vec<Generation>,
    },
    #[error("generation {generation} of {projection} is the one that is read")]
    IsLive {
        projection: String,
        generation: Generation,
    },
    #[error(
        "generation {generation} of {projection} does not read {}, of which clients may hold \
         positions",
        places(.missing)
    )]
    OtherInputs {
        projection: String,
        generation: Generation,
        missing: Vec<(Topic, Partition)>,
    },
    #[error(
        "nothing of {projection} was promoted that could be taken back; generations {} stand, and \
         `compline projection promote {projection} --generation N` makes one of them read",
        list(.standing)
    )]
    NoPrevious {
        projection: String,
        standing: Vec<Generation>,
    },
    #[error(
        "{} is not parked in generation {generation} of {projection}; a parked key is named as \
         `compline parked list` shows it, topic:key",
        .keys.join(", ")
    )]
    NotParked {
        projection: String,
        generation: Generation,
        keys: Vec<String>,
    },
    #[error(
        "generation {generation} of {projection} has parked keys, whose rows are not whole: {}",
        .keys.join(", ")
    )]
    Parked {
        projection: String,
        generation: Generation,
        /// `topic:key`
        keys: Vec<String>,
    },
    #[error(
        "generation {generation} of {projection} is {behind} records behind the one that is read, \
         and did not reach it in time: is it projected, and does each of its partitions run?"
    )]
    Behind {
        projection: String,
        generation: Generation,
        behind: i64,
    },
    #[error(transparent)]
    Generation(#[from] GenerationError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn list(generations: &[Generation]) -> String {
    let numbers: Vec<String> = generations.iter().map(Generation::to_string).collect();
    numbers.join(", ")
}

fn places(places: &[(Topic, Partition)]) -> String {
    let places: Vec<String> = places
        .iter()
        .map(|(topic, partition)| format!("{topic}/{partition}"))
        .collect();
    places.join(", ")
}

/// Has a projection for itself until it is dropped, or its session ends.
#[derive(Debug)]
pub struct Steward {
    pub(crate) conn: PgConnection,
    pub(crate) database: Database,
    pub(crate) projection: String,
}

impl Steward {
    pub async fn take(database: &Database, projection: &str) -> Result<Self, StewardError> {
        let options = database.options(Role::Owner, SCHEMA);
        let mut conn = PgConnection::connect_with(&options).await?;
        if !hold::take_projection(&mut conn, projection, PATIENCE).await? {
            return Err(StewardError::Busy {
                projection: projection.to_owned(),
            });
        }
        // What a killed comparison has left would hold whoever is waited for now.
        hold::release(&mut conn, projection).await?;
        Ok(Self {
            conn,
            database: database.clone(),
            projection: projection.to_owned(),
        })
    }

    pub async fn standing(&mut self) -> Result<Vec<Standing>, StewardError> {
        let standing = standing(&mut self.conn, &self.projection).await?;
        match standing.is_empty() {
            true => Err(GenerationError::Missing {
                projection: self.projection.clone(),
            }
            .into()),
            false => Ok(standing),
        }
    }

    /// Makes a new generation, empty and at the log's beginning.
    pub async fn rebuild<P: Projection>(
        &mut self,
        partitions_of: impl Fn(Topic) -> u32,
    ) -> Result<Generation, StewardError> {
        let last = sqlx::query_scalar!(
            r#"SELECT max(generation) AS "last" FROM compline.generation WHERE projection = $1"#,
            self.projection
        )
        .fetch_one(&mut self.conn)
        .await?;
        let plan = Plan::of::<P>(last.unwrap_or(0) + 1, partitions_of);
        generation::create(&self.database, &plan).await?;
        Ok(plan.generation)
    }

    /// Drops a generation's tables, checkpoints, marks and parks.
    pub async fn drop_generation(&mut self, generation: Generation) -> Result<(), StewardError> {
        self.live_beside(generation).await?;
        let mut tx = self.conn.begin().await?;
        // Batches in flight end first, and no other begins.
        sqlx::query!(
            "WITH locked AS (
                 SELECT topic, partition FROM compline.checkpoint
                 WHERE projection = $1 AND generation = $2
                 ORDER BY topic, partition FOR UPDATE
             )
             DELETE FROM compline.checkpoint USING locked
             WHERE projection = $1 AND generation = $2
               AND checkpoint.topic = locked.topic AND checkpoint.partition = locked.partition",
            self.projection,
            generation,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE compline.generation SET dropped_at = now()
             WHERE projection = $1 AND generation = $2",
            self.projection,
            generation,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "WITH unmarked AS (DELETE FROM compline.mark WHERE projection = $1 AND generation = $2),
                  forgotten AS (UPDATE compline.pointer SET previous = NULL
                                WHERE projection = $1 AND previous = $2)
             DELETE FROM compline.parked_key WHERE projection = $1 AND generation = $2",
            self.projection,
            generation,
        )
        .execute(&mut *tx)
        .await?;
        let schema = schema_name(&self.projection, generation);
        let statement = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        tx.execute(AssertSqlSafe(statement)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The live generation, when `other` stands beside it.
    pub(crate) async fn live_beside(
        &mut self,
        other: Generation,
    ) -> Result<Generation, StewardError> {
        let standing = self.standing().await?;
        let projection = self.projection.clone();
        let Some(found) = standing.iter().find(|each| each.generation == other) else {
            return Err(StewardError::Unknown {
                projection,
                generation: other,
                standing: standing.iter().map(|each| each.generation).collect(),
            });
        };
        let live = standing.iter().find(|each| each.is_live);
        match live.map(|live| live.generation) {
            Some(live) if live != found.generation => Ok(live),
            Some(live) => Err(StewardError::IsLive {
                projection,
                generation: live,
            }),
            None => Err(GenerationError::Missing { projection }.into()),
        }
    }
}
