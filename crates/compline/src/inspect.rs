//! What operators ask of the database: how far every reader is, what is parked,
//! what waits. It looks over the rooms' shoulders, as the owner and read only;
//! nothing of the product depends on it.
//!
//! Its statements reach into schemas of several rooms and of generations that are
//! known only at run time, so they are not checked at build; a test runs them all.

use anyhow::{Context as _, Result};
use compline_event::{Offset, Partition, Topic};
use compline_readmodel::{
    Database, Role,
    generation::{self, SCHEMA, Standing},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A reader's place in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// A projection, or `engine:<name>`.
    pub reader: String,
    pub generation: i32,
    pub live: bool,
    pub topic: Topic,
    pub partition: Partition,
    pub next_offset: Offset,
}

impl Checkpoint {
    /// Of a reader whose reading makes new events.
    pub fn is_engines(&self) -> bool {
        self.reader.starts_with("engine:")
    }
}

/// What the tables hold besides rows for readers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub database_bytes: i64,
    pub parked_keys: i64,
    /// Decided by engines and not yet in the log.
    pub outbox: i64,
    /// Changes of accounts that nobody has connected, which still wait.
    pub pending: i64,
    /// Parts of webhooks that this version does not know.
    pub unrecognized: i64,
    /// Changes whose account was not connected in time.
    pub expired: i64,
}

/// A read-only session as the owner.
#[derive(Debug)]
pub struct Inspector {
    conn: PgConnection,
}

impl Inspector {
    pub async fn connect(database: &Database) -> Result<Self> {
        let options = database
            .options(Role::Owner, SCHEMA)
            .options([("default_transaction_read_only", "on")]);
        let conn = PgConnection::connect_with(&options)
            .await
            .context("the database")?;
        Ok(Self { conn })
    }

    /// Whether compline has laid out its tables.
    pub async fn has_tables(&mut self) -> Result<bool> {
        let found = sqlx::query_scalar("SELECT to_regclass('compline.checkpoint') IS NOT NULL");
        Ok(found.fetch_one(&mut self.conn).await?)
    }

    pub async fn checkpoints(&mut self) -> Result<Vec<Checkpoint>> {
        let rows: Vec<(String, i32, bool, String, i32, i64)> = sqlx::query_as(
            "SELECT c.projection, c.generation, p.generation IS NOT NULL, c.topic, c.partition,
                    c.next_offset
             FROM compline.checkpoint c
             LEFT JOIN compline.pointer p USING (projection, generation)
             ORDER BY c.projection, c.generation, c.topic, c.partition",
        )
        .fetch_all(&mut self.conn)
        .await?;
        rows.into_iter()
            .map(
                |(reader, generation, live, topic, partition, next_offset)| {
                    Ok(Checkpoint {
                        reader,
                        generation,
                        live,
                        topic: topic.parse()?,
                        partition: Partition(partition),
                        next_offset: Offset(next_offset),
                    })
                },
            )
            .collect()
    }

    /// The generations of a projection.
    pub async fn generations(&mut self, projection: &str) -> Result<Vec<Standing>> {
        Ok(generation::standing(&mut self.conn, projection).await?)
    }

    /// How much engines have decided and not told yet.
    pub async fn outbox(&mut self) -> Result<i64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM engine.outbox");
        Ok(count.fetch_one(&mut self.conn).await?)
    }

    pub async fn counts(&mut self) -> Result<Counts> {
        let (database_bytes, parked_keys, outbox, pending): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT pg_database_size(current_database()),
                    (SELECT count(*) FROM compline.parked_key),
                    (SELECT count(*) FROM engine.outbox),
                    (SELECT count(*) FROM engine_ad.pending)",
        )
        .fetch_one(&mut self.conn)
        .await?;
        let (unrecognized, expired) = self.webhook_counters().await?;
        Ok(Counts {
            database_bytes,
            parked_keys,
            outbox,
            pending,
            unrecognized,
            expired,
        })
    }

    /// Of all tenants together, from the live generation of `activity`.
    async fn webhook_counters(&mut self) -> Result<(i64, i64)> {
        let schema: Option<String> = sqlx::query_scalar(
            "SELECT schema_name FROM compline.generation
             JOIN compline.pointer USING (projection, generation) WHERE projection = $1",
        )
        .bind(compline_activity::NAME)
        .fetch_optional(&mut self.conn)
        .await?;
        let Some(schema) = schema else {
            return Ok((0, 0));
        };
        // The name was made by `generation::schema_name`; %I-quoting would need
        // another round trip and guard against ourselves.
        let statement = format!(
            "SELECT coalesce(sum(count) FILTER (WHERE problem <> $1), 0)::bigint,
                    coalesce(sum(count) FILTER (WHERE problem = $1), 0)::bigint
             FROM {schema}.webhook_counter"
        );
        let counters = sqlx::query_as(AssertSqlSafe(statement))
            .bind(compline_activity::EXPIRED)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(counters)
    }
}
