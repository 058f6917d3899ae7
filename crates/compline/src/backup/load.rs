//! The tables of a backup into a database that has none.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use compline_readmodel::{
    Database, Role,
    generation::{SCHEMA, migrate_schema_to},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::fs::File;

use super::{
    Folder, Tell,
    manifest::{Manifest, SchemaFacts, TableFacts},
    tables::quoted,
};

/// Makes the tables with the layout that they had, and fills them in one transaction.
/// The next start brings them to this build's layout, as it does with any older one.
pub async fn load(
    database: &Database,
    manifest: &Manifest,
    folder: &Folder,
    tell: Tell<'_>,
) -> Result<()> {
    let mut conn = PgConnection::connect_with(&database.options(Role::Owner, SCHEMA))
        .await
        .context("the database")?;
    ensure!(
        !has_tables(&mut conn).await?,
        "the database has tables of compline's: restore into an empty one"
    );
    for schema in &manifest.schemas {
        let migrator = manifest.migrator(schema)?;
        migrate_schema_to(database, &schema.name, &migrator, schema.last_migration()).await?;
    }
    conn.execute("BEGIN").await?;
    for schema in &manifest.schemas {
        for table in &schema.tables {
            tell(&format!("loading {}.{}", schema.name, table.name));
            load_table(&mut conn, schema, table, &folder.tables())
                .await
                .with_context(|| format!("{}.{}", schema.name, table.name))?;
        }
    }
    conn.execute("COMMIT").await?;
    // Plans made for empty tables would serve the first readers badly.
    conn.execute("ANALYZE").await?;
    conn.close().await?;
    Ok(())
}

async fn has_tables(conn: &mut PgConnection) -> Result<bool> {
    let found = sqlx::query_scalar("SELECT to_regclass('compline.checkpoint') IS NOT NULL");
    Ok(found.fetch_one(conn).await?)
}

/// COPY does not write through row level security, which binds the owner, too. It is
/// lifted inside the transaction, so that nobody ever sees the table without.
async fn load_table(
    conn: &mut PgConnection,
    schema: &SchemaFacts,
    table: &TableFacts,
    tables: &Path,
) -> Result<()> {
    let name = format!("{}.\"{}\"", schema.name, table.name);
    let forced: bool =
        sqlx::query_scalar("SELECT relforcerowsecurity FROM pg_class WHERE oid = $1::regclass")
            .bind(&name)
            .fetch_one(&mut *conn)
            .await?;
    let force = |how| AssertSqlSafe(format!("ALTER TABLE {name} {how} ROW LEVEL SECURITY"));
    if forced {
        conn.execute(force("NO FORCE")).await?;
    }
    // What a migration puts there is in the copy, too.
    conn.execute(AssertSqlSafe(format!("DELETE FROM {name}")))
        .await?;
    let path = tables.join(&schema.name).join(&table.name);
    let file = File::open(&path)
        .await
        .with_context(|| format!("{}", path.display()))?;
    let statement = format!("COPY {name} ({}) FROM STDIN", quoted(&table.columns));
    let mut copy = conn.copy_in_raw(&statement).await?;
    copy.read_from(file).await?;
    let rows = copy.finish().await?;
    ensure!(
        rows == table.rows,
        "{rows} rows were loaded, and {} copied",
        table.rows
    );
    if forced {
        conn.execute(force("FORCE")).await?;
    }
    Ok(())
}
