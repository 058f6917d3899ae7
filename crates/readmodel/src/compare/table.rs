//! One table of both generations: columns, counts, hashes.

use std::collections::BTreeMap;

use compline_event::TenantId;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{TableComparison, rows};

/// Made by the migrator, and of no interest.
const MIGRATIONS: &str = "_sqlx_migrations";

/// Rows of one tenant, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub rows: i64,
    /// The sum of the rows' 64-bit hashes.
    pub hash: String,
}

/// What is compared of a table.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    /// That both have, by name.
    pub(super) columns: Vec<String>,
    pub(super) key: Vec<String>,
    pub(super) has_tenant: bool,
}

/// The tables of the session's schema.
pub(super) async fn names(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables
         WHERE schemaname = current_schema() AND tablename <> $1 ORDER BY 1",
    )
    .bind(MIGRATIONS)
    .fetch_all(conn)
    .await
}

pub(super) async fn compare(
    live: &mut PgConnection,
    candidate: &mut PgConnection,
    name: String,
    most_rows: usize,
) -> Result<TableComparison, sqlx::Error> {
    let (of_live, of_candidate) = (
        columns(live, &name).await?,
        columns(candidate, &name).await?,
    );
    let (common, only_live): (Vec<String>, Vec<String>) = of_live
        .into_iter()
        .partition(|column| of_candidate.contains(column));
    let only_candidate = of_candidate
        .into_iter()
        .filter(|column| !common.contains(column));
    let other_columns: Vec<String> = only_live.into_iter().chain(only_candidate).collect();
    let shape = Shape {
        key: key(candidate, &name).await?,
        has_tenant: common.iter().any(|column| column == "tenant_id"),
        columns: common,
        name,
    };

    let (of_live, of_candidate) = match shape.columns.is_empty() {
        // The live generation has no such table.
        true => (BTreeMap::new(), BTreeMap::new()),
        false => (
            digests(live, &shape).await?,
            digests(candidate, &shape).await?,
        ),
    };
    let mut tenants: Vec<Option<Uuid>> = of_live
        .iter()
        .filter(|(tenant, digest)| of_candidate.get(tenant) != Some(digest))
        .map(|(tenant, _)| *tenant)
        .chain(
            of_candidate
                .keys()
                .filter(|tenant| !of_live.contains_key(tenant))
                .copied(),
        )
        .collect();
    tenants.sort_unstable();

    let mut differing = rows::Found::default();
    for tenant in &tenants {
        rows::find(live, candidate, &shape, *tenant, most_rows, &mut differing).await?;
    }
    let count = |digests: &BTreeMap<_, Digest>| digests.values().map(|digest| digest.rows).sum();
    Ok(TableComparison {
        live_rows: count(&of_live),
        candidate_rows: count(&of_candidate),
        other_columns,
        tenants: tenants
            .into_iter()
            .map(|tenant| tenant.map(TenantId::new))
            .collect(),
        differing_rows: differing.count,
        rows: differing.first,
        name: shape.name,
    })
}

/// By name, for two builds may have added them in another order.
async fn columns(conn: &mut PgConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
         WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped
         ORDER BY 1",
    )
    .bind(table)
    .fetch_all(conn)
    .await
}

/// The columns of the primary key, in its order.
async fn key(conn: &mut PgConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT attname::text
         FROM pg_index, unnest(indkey::int[]) WITH ORDINALITY AS part (number, place), pg_attribute
         WHERE indrelid = to_regclass(quote_ident($1)) AND indisprimary
           AND attrelid = indrelid AND attnum = part.number
         ORDER BY part.place",
    )
    .bind(table)
    .fetch_all(conn)
    .await
}

async fn digests(
    conn: &mut PgConnection,
    shape: &Shape,
) -> Result<BTreeMap<Option<Uuid>, Digest>, sqlx::Error> {
    let tenant = match shape.has_tenant {
        true => "tenant_id",
        false => "NULL::uuid",
    };
    let statement = format!(
        "SELECT {tenant}, count(*), sum(hashtextextended({}::text, 0)::numeric)::text
         FROM {} GROUP BY 1",
        row_of(&shape.columns),
        quoted(&shape.name),
    );
    // Names come from Postgres' own catalogue and are quoted.
    let rows: Vec<(Option<Uuid>, i64, String)> = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, rows, hash)| (tenant, Digest { rows, hash }))
        .collect())
}

/// `ROW("a", "b")`
pub(super) fn row_of(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    format!("ROW({})", columns.join(", "))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
