//! Makes an engine's tables.

use compline_event::{Offset, Partition, Topic};
use compline_readmodel::{
    Database, Role,
    generation::{self, GenerationError, Plan, migrate_schema},
};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};

use crate::{SCHEMA, checkpoint_name, engine::Engine, state_schema};

/// Makes what is missing of engine `E`: the frame's tables, its own, its
/// checkpoints at `starts`, and a counter and a relay for each of `outputs`. As
/// the owner; safe to repeat.
pub async fn migrate<E: Engine>(
    database: &Database,
    starts: Vec<(Topic, Partition, Offset)>,
    outputs: impl IntoIterator<Item = (Topic, Partition)>,
) -> Result<(), GenerationError> {
    migrate_schema(database, SCHEMA, &migrator()).await?;
    let plan = Plan {
        projection: checkpoint_name(E::NAME),
        generation: 1,
        schema: state_schema(E::NAME),
        migrator: E::migrator(),
        writer: Role::Engine,
        starts,
    };
    generation::create(database, &plan).await?;

    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, SCHEMA)).await?;
    for (topic, partition) in outputs {
        sqlx::query!(
            "INSERT INTO engine.counter (engine, topic, partition) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            E::NAME,
            topic.as_str(),
            partition.0,
        )
        .execute(&mut conn)
        .await?;
        sqlx::query!(
            "INSERT INTO engine.relay (engine, topic, partition) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            E::NAME,
            topic.as_str(),
            partition.0,
        )
        .execute(&mut conn)
        .await?;
    }
    conn.close().await?;
    Ok(())
}

/// Of the frame's own tables.
pub fn migrator() -> Migrator {
    sqlx::migrate!()
}
