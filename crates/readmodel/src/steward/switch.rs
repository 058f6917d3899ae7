//! Promote: readers read another generation, once it has reached the live one.
//!
//! ```text
//!   come near ─▶ lock the live checkpoints ─▶ reached: move the pointer
//!      ▲                     │
//!      └── rest, ever longer ┴ not in time, or not coming nearer: let go
//! ```
//!
//! The live generation does not move while its checkpoints are locked, so they are
//! locked only for as long as the other one comes nearer.

use std::time::Duration;

use compline_event::{Partition, Token, Topic};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::{POLL, Steward, StewardError};
use crate::{crash, fault, generation::Generation, park::key_name, wake};

/// Longest that a promote keeps the live generation from being projected, below
/// [`crate::pool::WRITER_IDLE_TIMEOUT`], so that no batch fails because of it.
const LONGEST_LOCK: Duration = Duration::from_secs(3);

/// One that comes no nearer for this long is not worth the lock.
const STILL: Duration = Duration::from_millis(400);

/// The first rest after a lock in vain; each is twice as long as the one before.
const FIRST_REST: Duration = Duration::from_millis(500);

/// A generation that is this many records behind is soon there, and worth the lock.
const NEAR: i64 = 2_000;

/// What is to be read, and under which conditions.
#[derive(Clone, Debug, Default)]
pub struct Promotion {
    /// Parked keys whose rows may stay behind, as `topic:key`.
    pub with_parked: Vec<String>,
    /// What it must have seen of topics that only it reads.
    pub also: Token,
    /// How long it may take.
    pub within: Duration,
}

/// What readers read now, and read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    pub from: Generation,
    pub to: Generation,
    /// How long the live generation could not move.
    pub locked: Duration,
}

impl Steward {
    /// Makes readers read `to`, once it has reached the live generation.
    pub async fn promote(
        &mut self,
        to: Generation,
        promotion: &Promotion,
    ) -> Result<Switched, StewardError> {
        let deadline = Instant::now() + promotion.within;
        let live = self.live_beside(to).await?;
        let missing = only_of(&mut self.conn, &self.projection, live, to).await?;
        if !missing.is_empty() {
            return Err(StewardError::OtherInputs {
                projection: self.projection.clone(),
                generation: to,
                missing,
            });
        }
        self.check_named(to, &promotion.with_parked).await?;
        let mut rest = FIRST_REST;
        loop {
            self.come_near(live, to, promotion, deadline).await?;
            let locked = Instant::now();
            if self.switch(live, to, promotion, deadline).await? {
                return Ok(Switched {
                    from: live,
                    to,
                    locked: locked.elapsed(),
                });
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + rest)).await;
            rest *= 2;
        }
    }

    /// Promotes what was read before the live one.
    pub async fn rollback(&mut self, promotion: &Promotion) -> Result<Switched, StewardError> {
        let standing = self.standing().await?;
        let Some(previous) = standing.iter().find(|each| each.is_previous) else {
            return Err(StewardError::NoPrevious {
                projection: self.projection.clone(),
                standing: standing.iter().map(|each| each.generation).collect(),
            });
        };
        self.promote(previous.generation, promotion).await
    }

    /// A slip of the pen must not pass for a permission.
    async fn check_named(
        &mut self,
        generation: Generation,
        named: &[String],
    ) -> Result<(), StewardError> {
        let parked = parked_keys(&mut self.conn, &self.projection, generation).await?;
        let unknown = named.iter().filter(|key| !parked.contains(key));
        let keys: Vec<String> = unknown.cloned().collect();
        match keys.is_empty() {
            true => Ok(()),
            false => Err(StewardError::NotParked {
                projection: self.projection.clone(),
                generation,
                keys,
            }),
        }
    }

    async fn come_near(
        &mut self,
        live: Generation,
        to: Generation,
        promotion: &Promotion,
        deadline: Instant,
    ) -> Result<(), StewardError> {
        loop {
            let behind = behind(&mut self.conn, &self.projection, live, to, promotion).await?;
            if behind <= NEAR {
                return Ok(());
            }
            self.check_time(to, behind, deadline)?;
            tokio::time::sleep(POLL).await;
        }
    }

    fn check_time(
        &self,
        generation: Generation,
        behind: i64,
        deadline: Instant,
    ) -> Result<(), StewardError> {
        match Instant::now() < deadline {
            true => Ok(()),
            false => Err(StewardError::Behind {
                projection: self.projection.clone(),
                generation,
                behind,
            }),
        }
    }

    /// `false` when the live generation had to be let go before `to` had reached it.
    async fn switch(
        &mut self,
        live: Generation,
        to: Generation,
        promotion: &Promotion,
        deadline: Instant,
    ) -> Result<bool, StewardError> {
        let projection = self.projection.clone();
        let mut tx = self.conn.begin().await?;
        match lock(&mut tx, &projection, live).await {
            Ok(()) => {}
            // Somebody holds one of them, a redrive perhaps.
            Err(error) if fault::is_lock_timeout(&error) => {
                tx.rollback().await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        crash::point("promote-locked");
        let until = Instant::now() + LONGEST_LOCK;
        let mut nearest = (i64::MAX, Instant::now());
        loop {
            let behind = behind(&mut tx, &projection, live, to, promotion).await?;
            if behind == 0 {
                break;
            }
            let now = Instant::now();
            if behind < nearest.0 {
                nearest = (behind, now);
            }
            let is_in_vain = now - nearest.1 > STILL || now > until;
            if is_in_vain || now > deadline {
                tx.rollback().await?;
                self.check_time(to, behind, deadline)?;
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        let mut keys = parked_keys(&mut tx, &projection, to).await?;
        keys.retain(|key| !promotion.with_parked.contains(key));
        if !keys.is_empty() {
            return Err(StewardError::Parked {
                projection,
                generation: to,
                keys,
            });
        }
        sqlx::query!(
            "UPDATE compline.pointer SET generation = $2, previous = $3 WHERE projection = $1",
            projection,
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

/// Locks a generation's checkpoints. Who waits for one of them holds others meanwhile,
/// so it does not wait long.
async fn lock(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<(), sqlx::Error> {
    sqlx::query!("SET LOCAL lock_timeout = '500ms'")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "SELECT next_offset FROM compline.checkpoint
         WHERE projection = $1 AND generation = $2
         ORDER BY topic, partition FOR UPDATE",
        projection,
        generation,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// How many records `other` has still to fold to be where `live` is, and where it must
/// be besides.
async fn behind(
    conn: &mut PgConnection,
    projection: &str,
    live: Generation,
    other: Generation,
    promotion: &Promotion,
) -> Result<i64, sqlx::Error> {
    let also = promotion.also.positions();
    let (topics, (partitions, offsets)): (Vec<_>, (Vec<_>, Vec<_>)) = also
        .map(|at| {
            let topic = at.topic.as_str().to_owned();
            (topic, (at.partition.0, at.next_offset.0))
        })
        .unzip();
    sqlx::query_scalar!(
        r#"SELECT coalesce(sum(greatest(wanted.next_offset - other.next_offset, 0)), 0)::bigint
                  AS "behind!"
           FROM compline.checkpoint AS other JOIN (
               SELECT topic, partition, next_offset FROM compline.checkpoint
               WHERE projection = $1 AND generation = $2
               UNION ALL
               SELECT * FROM UNNEST($4::text[], $5::int[], $6::bigint[])
           ) AS wanted (topic, partition, next_offset) USING (topic, partition)
           WHERE projection = $1 AND other.generation = $3"#,
        projection,
        live,
        other,
        &topics,
        &partitions,
        &offsets,
    )
    .fetch_one(conn)
    .await
}

/// The partitions that `one` has a checkpoint of and `other` has none.
pub(crate) async fn only_of(
    conn: &mut PgConnection,
    projection: &str,
    one: Generation,
    other: Generation,
) -> Result<Vec<(Topic, Partition)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, partition FROM compline.checkpoint
         WHERE projection = $1 AND generation = $2
         EXCEPT
         SELECT topic, partition FROM compline.checkpoint
         WHERE projection = $1 AND generation = $3
         ORDER BY topic, partition",
        projection,
        one,
        other,
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        // A topic of a newer build is nothing that this one could read.
        Some((row.topic?.parse().ok()?, Partition(row.partition?)))
    });
    Ok(known.collect())
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
    let keys = rows.into_iter().map(|row| key_name(&row.topic, &row.key));
    Ok(keys.collect())
}
