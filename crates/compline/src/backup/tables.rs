//! The tables out of a database: one snapshot of all that compline made in it.
//!
//! COPY's text rather than the server's files: it can be had from any PostgreSQL that
//! roles run on, with nothing but the owner's login, and any later one takes it.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use compline_readmodel::{Database, Role, generation::SCHEMA};
use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    Tell, files, make_private,
    manifest::{PartitionFacts, SchemaFacts, TableFacts},
};

/// A snapshot that stands in files.
pub(super) struct Tables {
    pub(super) server_version: String,
    pub(super) schemas: Vec<SchemaFacts>,
    pub(super) positions: BTreeMap<String, i64>,
    /// The next offset of the reader that was furthest.
    furthest: BTreeMap<(String, i32), i64>,
}

impl Tables {
    /// # Errors
    /// When a reader was further than the log that was copied after it.
    pub(super) fn stand_within(&self, log: &[PartitionFacts]) -> Result<()> {
        for ((topic, partition), next) in &self.furthest {
            let same = |of: &&PartitionFacts| (&of.topic, of.partition) == (topic, *partition);
            let end = log.iter().find(same).map_or(0, |of| of.end);
            ensure!(
                *next <= end,
                "the tables hold {topic}/{partition} up to offset {next}, and the log ends at \
                 {end}: they were not folded from this log"
            );
        }
        Ok(())
    }
}

/// Writes the rows of every table to `into/SCHEMA/TABLE`.
pub(super) async fn dump(database: &Database, into: &Path, tell: Tell<'_>) -> Result<Tables> {
    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, SCHEMA))
        .await
        .context("the database")?;
    // The first statement behind it takes the snapshot for all.
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut conn)
        .await?;
    let server_version = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut conn)
        .await?;
    let mut dumped = Tables {
        server_version,
        schemas: schemas(&mut conn).await?,
        positions: BTreeMap::new(),
        furthest: BTreeMap::new(),
    };
    positions(&mut conn, &mut dumped).await?;
    for schema in &mut dumped.schemas {
        let folder = into.join(&schema.name);
        make_private(&folder)?;
        for table in &mut schema.tables {
            tell(&format!("copying {}.{}", schema.name, table.name));
            table.rows = copy_out(&mut conn, &schema.name, table, &folder)
                .await
                .with_context(|| format!("{}.{}", schema.name, table.name))?;
        }
    }
    sqlx::query("COMMIT").execute(&mut conn).await?;
    conn.close().await?;
    Ok(dumped)
}

/// The protocol's own, the engines' frame, and one of each generation that stands.
async fn schemas(conn: &mut PgConnection) -> Result<Vec<SchemaFacts>> {
    let of_generations: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT schema_name, projection FROM compline.generation WHERE dropped_at IS NULL
         ORDER BY projection, generation",
    )
    .fetch_all(&mut *conn)
    .await
    .context("no tables of compline's")?;
    let own = [SCHEMA, compline_engine::SCHEMA].map(|name| (name.to_owned(), None));
    let mut schemas = Vec::new();
    for (name, owner) in own.into_iter().chain(of_generations) {
        schemas.push(SchemaFacts {
            migrations: migrations(conn, &name).await?,
            tables: tables(conn, &name).await?,
            name,
            owner,
        });
    }
    Ok(schemas)
}

async fn migrations(conn: &mut PgConnection, schema: &str) -> Result<BTreeMap<i64, String>> {
    // Schema names were made by `generation::schema_name` and constants.
    let statement =
        format!("SELECT version, encode(checksum, 'hex') FROM {schema}._sqlx_migrations");
    let rows: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// A table stands behind those that it refers to. A partitioned one has its rows in its
/// parts, and is read and written by its own name.
async fn tables(conn: &mut PgConnection, schema: &str) -> Result<Vec<TableFacts>> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "WITH RECURSIVE own AS (
             SELECT oid, relname FROM pg_class
             WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')
               AND NOT relispartition AND relname <> '_sqlx_migrations'
         ), behind AS (
             SELECT oid AS at, 0 AS steps FROM own
             UNION
             SELECT conrelid, steps + 1 FROM behind JOIN pg_constraint ON confrelid = at
             WHERE contype = 'f' AND conrelid <> confrelid
         )
         SELECT relname::text, array_agg(attname::text ORDER BY attnum)
         FROM own JOIN pg_attribute ON attrelid = own.oid
         WHERE attnum > 0 AND NOT attisdropped AND attgenerated = ''
         GROUP BY own.oid, relname
         ORDER BY (SELECT max(steps) FROM behind WHERE at = own.oid), relname",
    )
    .bind(schema)
    .fetch_all(conn)
    .await?;
    let facts = rows.into_iter().map(|(name, columns)| TableFacts {
        name,
        columns,
        rows: 0,
    });
    Ok(facts.collect())
}

async fn positions(conn: &mut PgConnection, dumped: &mut Tables) -> Result<()> {
    let rows: Vec<(String, i32, String, i32, i64)> = sqlx::query_as(
        "SELECT projection, generation, topic, partition, next_offset FROM compline.checkpoint",
    )
    .fetch_all(conn)
    .await?;
    for (reader, generation, topic, partition, next) in rows {
        let name = format!("{reader} g{generation} {topic}/{partition}");
        dumped.positions.insert(name, next);
        let furthest = dumped.furthest.entry((topic, partition)).or_default();
        *furthest = next.max(*furthest);
    }
    Ok(())
}

/// Gives the number of rows.
async fn copy_out(
    conn: &mut PgConnection,
    schema: &str,
    table: &TableFacts,
    folder: &Path,
) -> Result<u64> {
    let (name, columns) = (&table.name, quoted(&table.columns));
    let path = folder.join(name);
    let mut file = files::create(&path).with_context(|| format!("{}", path.display()))?;
    let statement = format!("COPY (SELECT {columns} FROM {schema}.\"{name}\") TO STDOUT");
    let mut pieces = conn.copy_out_raw(&statement).await?;
    let mut rows = 0;
    while let Some(piece) = pieces.try_next().await? {
        // A line feed in a value is written as \n.
        rows += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        file.write_all(&piece)
            .with_context(|| format!("{}", path.display()))?;
    }
    file.sync_all()?;
    Ok(rows)
}

/// Names of columns, as a list in SQL.
pub(super) fn quoted(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}
