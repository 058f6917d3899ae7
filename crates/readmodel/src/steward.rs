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

use std::time::Duration;

use compline_event::Topic;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;

use crate::{
    crash,
    generation::{
        self, Generation, GenerationError, Plan, SCHEMA, Standing, schema_name, standing,
    },
    hold,
    park::key_name,
    pool::Database,
    projection::Projection,
    role::Role,
    wake,
};

/// How long a change by somebody else is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest that a promote keeps the live generation from being projected, below
/// [`crate::pool::WRITER_IDLE_TIMEOUT`], so that no batch fails because of it.
const LONGEST_LOCK: Duration = Duration::from_secs(3);

/// A generation that is this many records behind is soon there, and worth the lock.
const NEAR: i64 = 2_000;

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
    #[error("{projection} has no generation from before the present one to go back to")]
    NoPrevious { projection: String },
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

/// What readers read now, and read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    pub from: Generation,
    pub to: Generation,
    /// How long the live generation could not move.
    pub locked: Duration,
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

    /// Makes readers read `to`, once it has reached the live generation. Parked keys
    /// of it are allowed when `with_parked` names them, as `topic:key`.
    pub async fn promote(
        &mut self,
        to: Generation,
        with_parked: &[String],
        within: Duration,
    ) -> Result<Switched, StewardError> {
        let deadline = Instant::now() + within;
        let live = self.live_beside(to).await?;
        loop {
            self.come_near(live, to, deadline).await?;
            let locked = Instant::now();
            if self.switch(live, to, with_parked, deadline).await? {
                return Ok(Switched {
                    from: live,
                    to,
                    locked: locked.elapsed(),
                });
            }
        }
    }

    /// Promotes what was read before the live one.
    pub async fn rollback(
        &mut self,
        with_parked: &[String],
        within: Duration,
    ) -> Result<Switched, StewardError> {
        let standing = self.standing().await?;
        let Some(previous) = standing.iter().find(|each| each.is_previous) else {
            return Err(StewardError::NoPrevious {
                projection: self.projection.clone(),
            });
        };
        self.promote(previous.generation, with_parked, within).await
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

    async fn come_near(
        &mut self,
        live: Generation,
        to: Generation,
        deadline: Instant,
    ) -> Result<(), StewardError> {
        loop {
            let behind = behind(&mut self.conn, &self.projection, live, to).await?;
            if behind <= NEAR {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(StewardError::Behind {
                    projection: self.projection.clone(),
                    generation: to,
                    behind,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// `false` when `to` did not reach the live generation for as long as that one
    /// may be locked.
    async fn switch(
        &mut self,
        live: Generation,
        to: Generation,
        with_parked: &[String],
        deadline: Instant,
    ) -> Result<bool, StewardError> {
        let until = deadline.min(Instant::now() + LONGEST_LOCK);
        let mut tx = self.conn.begin().await?;
        sqlx::query!(
            "SELECT next_offset FROM compline.checkpoint
             WHERE projection = $1 AND generation = $2
             ORDER BY topic, partition FOR UPDATE",
            self.projection,
            live,
        )
        .fetch_all(&mut *tx)
        .await?;
        crash::point("promote-locked");
        loop {
            let behind = behind(&mut tx, &self.projection, live, to).await?;
            if behind == 0 {
                break;
            }
            let now = Instant::now();
            if now > deadline {
                return Err(StewardError::Behind {
                    projection: self.projection.clone(),
                    generation: to,
                    behind,
                });
            }
            if now > until {
                tx.rollback().await?;
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        let keys = parked_keys(&mut tx, &self.projection, to).await?;
        let unnamed: Vec<String> = keys
            .into_iter()
            .filter(|key| !with_parked.contains(key))
            .collect();
        if !unnamed.is_empty() {
            return Err(StewardError::Parked {
                projection: self.projection.clone(),
                generation: to,
                keys: unnamed,
            });
        }
        sqlx::query!(
            "UPDATE compline.pointer SET generation = $2, previous = $3 WHERE projection = $1",
            self.projection,
            to,
            live,
        )
        .execute(&mut *tx)
        .await?;
        wake::notify_all(&mut tx).await?;
        crash::point("promoting");
        tx.commit().await?;
        crash::point("promoted");
        Ok(true)
    }
}

/// How many records `other` has still to fold to be where `live` is.
async fn behind(
    conn: &mut PgConnection,
    projection: &str,
    live: Generation,
    other: Generation,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(greatest(live.next_offset - other.next_offset, 0)), 0)::bigint
                  AS "behind!"
           FROM compline.checkpoint AS live JOIN compline.checkpoint AS other
                USING (projection, topic, partition)
           WHERE projection = $1 AND live.generation = $2 AND other.generation = $3"#,
        projection,
        live,
        other,
    )
    .fetch_one(conn)
    .await
}

async fn parked_keys(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, key FROM compline.parked_key
         WHERE projection = $1 AND generation = $2 ORDER BY topic, partition, key",
        projection,
        generation,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| key_name(&row.topic, &row.key))
        .collect())
}
