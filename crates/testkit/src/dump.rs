//! Everything that a schema holds, as text that can be compared.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgConnection};

/// (table → its rows as JSON, sorted).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump(BTreeMap<String, Vec<String>>);

impl Dump {
    /// Reads every table of `schema` but the migrations' own. As a role that sees
    /// all rows.
    pub async fn of(conn: &mut PgConnection, schema: &str) -> Result<Self> {
        Self::without(conn, schema, &[]).await
    }

    /// As [`Dump::of`], without `columns`, wherever they stand.
    pub async fn without(conn: &mut PgConnection, schema: &str, columns: &[&str]) -> Result<Self> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = $1 AND table_type = 'BASE TABLE' AND table_name <> '_sqlx_migrations'",
        )
        .bind(schema)
        .fetch_all(&mut *conn)
        .await?;
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let mut dump = BTreeMap::new();
        for table in tables {
            let select = format!(
                r#"SELECT (to_jsonb(t) - $1)::text AS row FROM "{schema}"."{table}" t ORDER BY 1"#
            );
            let rows = sqlx::query_scalar(AssertSqlSafe(select))
                .bind(&columns)
                .fetch_all(&mut *conn)
                .await?;
            dump.insert(table, rows);
        }
        Ok(Self(dump))
    }

    pub fn rows(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub fn table(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Rows that only one of the two has, at most `most` of each table.
    pub fn difference(&self, other: &Dump, most: usize) -> Vec<Difference> {
        let mut differences = Vec::new();
        let tables: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        for table in tables {
            let (mine, theirs) = (self.table(table), other.table(table));
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these
                    .iter()
                    .filter(|row| those.binary_search(row).is_err())
                    .take(most)
                    .cloned()
                    .collect()
            };
            if mine != theirs {
                differences.push(Difference {
                    table: table.clone(),
                    counts: (mine.len(), theirs.len()),
                    only_left: only(mine, theirs),
                    only_right: only(theirs, mine),
                });
            }
        }
        differences
    }
}

/// How one table differs.
#[derive(Clone, Debug)]
pub struct Difference {
    pub table: String,
    pub counts: (usize, usize),
    pub only_left: Vec<String>,
    pub only_right: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} rows | {} rows",
            self.table, self.counts.0, self.counts.1
        )?;
        for row in &self.only_left {
            writeln!(f, "  - {row}")?;
        }
        for row in &self.only_right {
            writeln!(f, "  + {row}")?;
        }
        Ok(())
    }
}
