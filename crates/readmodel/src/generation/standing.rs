//! Which generations there are.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::{Generation, GenerationError, layout};
use crate::projection::Projection;

/// A generation that was made and not dropped: it is projected, read or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub generation: Generation,
    pub schema: String,
    /// The last migration that its tables went through.
    pub layout: i64,
    pub created_at: OffsetDateTime,
    /// Readers read it.
    pub is_live: bool,
    /// Readers read it before the live one.
    pub is_previous: bool,
    /// The sum of its checkpoints' offsets: records behind it.
    pub applied: i64,
    pub parked_keys: i64,
}

impl Standing {
    /// # Errors
    /// When its tables are not as this build's `P` knows them.
    pub fn fits<P: Projection>(&self) -> Result<(), GenerationError> {
        let known = layout(&P::migrator());
        match self.layout == known {
            true => Ok(()),
            false => Err(GenerationError::OtherLayout {
                projection: P::NAME.to_owned(),
                generation: self.generation,
                found: self.layout,
                known,
            }),
        }
    }
}

/// The generations of `projection`, the oldest first.
pub async fn standing(
    conn: &mut PgConnection,
    projection: &str,
) -> Result<Vec<Standing>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT made.generation, schema_name, layout, created_at,
                  pointer.generation IS NOT DISTINCT FROM made.generation AS "is_live!",
                  pointer.previous IS NOT DISTINCT FROM made.generation AS "is_previous!",
                  (SELECT coalesce(sum(next_offset), 0)::bigint FROM compline.checkpoint
                   WHERE checkpoint.projection = made.projection
                     AND checkpoint.generation = made.generation) AS "applied!",
                  (SELECT count(*) FROM compline.parked_key
                   WHERE parked_key.projection = made.projection
                     AND parked_key.generation = made.generation) AS "parked_keys!"
           FROM compline.generation AS made LEFT JOIN compline.pointer USING (projection)
           WHERE made.projection = $1 AND dropped_at IS NULL
           ORDER BY made.generation"#,
        projection
    )
    .fetch_all(conn)
    .await?;
    let standing = rows.into_iter().map(|row| Standing {
        generation: row.generation,
        schema: row.schema_name,
        layout: row.layout,
        created_at: row.created_at,
        is_live: row.is_live,
        is_previous: row.is_previous,
        applied: row.applied,
        parked_keys: row.parked_keys,
    });
    Ok(standing.collect())
}

/// The generation that readers read now.
pub async fn live(pool: &PgPool, projection: &str) -> Result<Generation, GenerationError> {
    sqlx::query_scalar!(
        "SELECT generation FROM compline.pointer WHERE projection = $1",
        projection
    )
    .fetch_optional(pool)
    .await?
    .ok_or_else(|| GenerationError::Missing {
        projection: projection.to_owned(),
    })
}

/// Whether it was dropped on purpose, so that its checkpoints are gone.
pub async fn is_dropped(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<bool, sqlx::Error> {
    let dropped = sqlx::query_scalar!(
        r#"SELECT dropped_at IS NOT NULL AS "dropped!" FROM compline.generation
           WHERE projection = $1 AND generation = $2"#,
        projection,
        generation,
    );
    Ok(dropped.fetch_optional(conn).await?.unwrap_or(false))
}
