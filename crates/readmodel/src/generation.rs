//! One build of one projection's tables, in a schema of its own.
//!
//! Checkpoint rows are made here, together with their generation, and nowhere
//! else: a missing one must never be taken for a beginning. A number is given
//! once; a generation that was dropped keeps its row.

mod standing;

use std::time::Duration;

use compline_event::{Offset, Partition, Topic};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection,
    migrate::{MigrateError, Migrator},
};

pub use self::standing::{Standing, is_dropped, live, standing};
use crate::{hold, pool::Database, projection::Projection, role::Role};

/// Counts from 1 for each projection.
pub type Generation = i32;

/// The schema of the protocol's own tables.
pub const SCHEMA: &str = "compline";

/// Serialises migrations of several processes; the number means nothing.
const MIGRATION_LOCK: i64 = 0x636f_6d70_6c69_6e65;

/// How long a comparison or a promote is waited for.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    #[error("migration of schema {schema}")]
    Migrate {
        schema: String,
        source: MigrateError,
    },
    #[error("making generation {generation} of {projection}")]
    Create {
        projection: String,
        generation: Generation,
        source: sqlx::Error,
    },
    #[error("somebody else changes or compares the generations of {projection} just now")]
    Busy { projection: String },
    #[error("{projection} has no generation yet; run `compline migrate`")]
    Missing { projection: String },
    #[error(
        "generation {generation} of {projection} is laid out by migration {found}, and this build \
         knows {known}: {}",
        remedy(*.found, *.known)
    )]
    OtherLayout {
        projection: String,
        generation: Generation,
        found: i64,
        known: i64,
    },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn remedy(found: i64, known: i64) -> &'static str {
    match found > known {
        true => "a newer build has migrated it, run that one",
        false => "run `compline migrate` of this build",
    }
}

/// What is made for one generation.
#[derive(Debug)]
pub struct Plan {
    pub projection: String,
    pub generation: Generation,
    pub schema: String,
    pub migrator: Migrator,
    /// The role that writes its tables.
    pub writer: Role,
    /// Where each input partition begins.
    pub starts: Vec<(Topic, Partition, Offset)>,
}

impl Plan {
    /// The first generation of a projection.
    pub fn first<P: Projection>(partitions_of: impl Fn(Topic) -> u32) -> Self {
        Self::of::<P>(1, partitions_of)
    }

    /// A generation of a projection. A projection's topics are kept whole, so it
    /// begins at 0.
    pub fn of<P: Projection>(generation: Generation, partitions_of: impl Fn(Topic) -> u32) -> Self {
        let starts = P::TOPICS
            .iter()
            .flat_map(|topic| partitions(*topic, partitions_of(*topic)))
            .map(|(topic, partition)| (topic, partition, Offset(0)))
            .collect();
        Self {
            projection: P::NAME.to_owned(),
            generation,
            schema: schema_name(P::NAME, generation),
            migrator: P::migrator(),
            writer: Role::Projector,
            starts,
        }
    }
}

/// Every partition of a topic that has `count` of them.
pub fn partitions(topic: Topic, count: u32) -> impl Iterator<Item = (Topic, Partition)> {
    (0..count).map(move |index| {
        let index = i32::try_from(index).expect("a partition count fits in an i32");
        (topic, Partition(index))
    })
}

/// `ad-status`, 2 → `ad_status_g2`.
pub fn schema_name(projection: &str, generation: Generation) -> String {
    format!("{}_g{generation}", projection.replace('-', "_"))
}

/// Makes or updates the protocol's own tables. As the owner.
pub async fn migrate(database: &Database) -> Result<(), GenerationError> {
    migrate_schema(database, SCHEMA, &migrator()).await
}

/// Of the protocol's own tables.
pub fn migrator() -> Migrator {
    sqlx::migrate!()
}

/// The number of the last migration, which names a layout of tables.
pub fn layout(migrator: &Migrator) -> i64 {
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// Makes the first generation of `P` where there is none, and brings each that
/// stands to this build's layout. As the owner; safe to repeat.
pub async fn lay_out<P: Projection>(
    database: &Database,
    partitions_of: impl Fn(Topic) -> u32,
) -> Result<(), GenerationError> {
    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, SCHEMA)).await?;
    // Nobody drops a generation while its tables are brought up to date.
    if !hold::take_projection(&mut conn, P::NAME, MIGRATION_PATIENCE).await? {
        return Err(GenerationError::Busy {
            projection: P::NAME.to_owned(),
        });
    }
    let standing = standing(&mut conn, P::NAME).await?;
    let generations = match standing.is_empty() {
        true => vec![1],
        false => standing.iter().map(|each| each.generation).collect(),
    };
    for generation in generations {
        create(database, &Plan::of::<P>(generation, &partitions_of)).await?;
    }
    // The lock goes with its session.
    conn.close().await?;
    Ok(())
}

/// Makes what is missing of `plan`: schema, tables, generation, checkpoints, and
/// the pointer when the projection has none. As the owner; safe to repeat.
pub async fn create(database: &Database, plan: &Plan) -> Result<(), GenerationError> {
    migrate_schema(database, &plan.schema, &plan.migrator).await?;
    let failed = |source| GenerationError::Create {
        projection: plan.projection.clone(),
        generation: plan.generation,
        source,
    };
    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, SCHEMA)).await?;
    grant_usage(&mut conn, plan).await.map_err(failed)?;
    register(&mut conn, plan).await.map_err(failed)?;
    conn.close().await?;
    Ok(())
}

/// Runs `migrator` in `schema`, which is made when it is missing.
pub async fn migrate_schema(
    database: &Database,
    schema: &str,
    migrator: &Migrator,
) -> Result<(), GenerationError> {
    migrate_schema_to(database, schema, migrator, layout(migrator)).await
}

/// As [`migrate_schema`], up to the migration `last`: for rows that were copied from
/// tables of that layout.
pub async fn migrate_schema_to(
    database: &Database,
    schema: &str,
    migrator: &Migrator,
    last: i64,
) -> Result<(), GenerationError> {
    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, schema)).await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut conn)
        .await?;
    // Schema names come from `schema_name` and constants, never from outside.
    let statement = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
    conn.execute(AssertSqlSafe(statement)).await?;
    migrator
        .run_to(last, &mut conn)
        .await
        .map_err(|source| GenerationError::Migrate {
            schema: schema.to_owned(),
            source,
        })?;
    // The advisory lock goes with its session.
    conn.close().await?;
    Ok(())
}

async fn grant_usage(conn: &mut PgConnection, plan: &Plan) -> Result<(), sqlx::Error> {
    let mut roles = vec![plan.writer];
    if plan.writer == Role::Projector {
        roles.push(Role::Query);
    }
    for role in roles {
        let statement = format!("GRANT USAGE ON SCHEMA {} TO {}", plan.schema, role.as_str());
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

async fn register(conn: &mut PgConnection, plan: &Plan) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    let made = sqlx::query!(
        "INSERT INTO compline.generation (projection, generation, schema_name, layout)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        plan.projection,
        plan.generation,
        plan.schema,
        layout(&plan.migrator),
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 1 {
        for (topic, partition, start) in &plan.starts {
            sqlx::query!(
                "INSERT INTO compline.checkpoint (projection, generation, topic, partition, next_offset)
                 VALUES ($1, $2, $3, $4, $5)",
                plan.projection,
                plan.generation,
                topic.as_str(),
                partition.0,
                start.0,
            )
            .execute(&mut *tx)
            .await?;
        }
    }
    sqlx::query!(
        "UPDATE compline.generation SET layout = $3 WHERE projection = $1 AND generation = $2",
        plan.projection,
        plan.generation,
        layout(&plan.migrator),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO compline.pointer (projection, generation) VALUES ($1, $2)
         ON CONFLICT DO NOTHING",
        plan.projection,
        plan.generation,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
