//! A checkpoint that must not go beyond a position, for as long as the session
//! lives that says so.
//!
//! Two generations can be compared only where both stand at the same positions, and
//! a moving one never does by chance. Whoever compares keeps the projection's
//! advisory lock in its session; so an owner that finds its partition held can tell
//! a hold from what a killed comparison has left.

use std::time::Duration;

use compline_event::Token;
use sqlx::{Connection as _, PgConnection};

use crate::{checkpoint::Place, generation::Generation};

/// The class of our advisory locks on projections; the number means nothing.
const CLASS: i32 = 0x686f_6c64;

/// Takes the projection for this session; `false` when another has it for longer
/// than `patience`. The lock goes with the session.
pub(crate) async fn take_projection(
    conn: &mut PgConnection,
    projection: &str,
    patience: Duration,
) -> Result<bool, sqlx::Error> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let taken = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock($1, hashtext($2)) AS "taken!""#,
            CLASS,
            projection
        )
        .fetch_one(&mut *conn)
        .await?;
        if taken || tokio::time::Instant::now() > deadline {
            return Ok(taken);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Holds a generation where it stands.
pub(crate) async fn at_present(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE compline.checkpoint SET held_at = next_offset
         WHERE projection = $1 AND generation = $2",
        projection,
        generation,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets a generation that is held go on to `position`, and no further.
pub(crate) async fn at(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
    position: &Token,
) -> Result<(), sqlx::Error> {
    let (topics, (partitions, offsets)): (Vec<_>, (Vec<_>, Vec<_>)) = position
        .positions()
        .map(|at| {
            let topic = at.topic.as_str().to_owned();
            (topic, (at.partition.0, at.next_offset.0))
        })
        .unzip();
    sqlx::query!(
        "UPDATE compline.checkpoint SET held_at = position.next_offset
         FROM UNNEST($3::text[], $4::int[], $5::bigint[]) AS position (topic, partition, next_offset)
         WHERE projection = $1 AND generation = $2
           AND checkpoint.topic = position.topic AND checkpoint.partition = position.partition",
        projection,
        generation,
        &topics,
        &partitions,
        &offsets,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lets a generation go on.
pub(crate) async fn release(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE compline.checkpoint SET held_at = NULL WHERE projection = $1 AND generation = $2",
        projection,
        generation,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away a hold whose session is gone.
pub async fn release_left_over(conn: &mut PgConnection, place: &Place) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    let is_left_over = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock_shared($1, hashtext($2)) AS "left_over!""#,
        CLASS,
        place.projection
    )
    .fetch_one(&mut *tx)
    .await?;
    if is_left_over {
        sqlx::query!(
            "UPDATE compline.checkpoint SET held_at = NULL
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4",
            place.projection,
            place.generation,
            place.topic.as_str(),
            place.partition.0,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}
