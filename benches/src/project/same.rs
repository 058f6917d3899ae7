//! Whether both wrote the same: a limit that does less is none.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::house::OwnDatabase;

pub(crate) const ALL: [&str; 4] = ["ad", "ad_issue", "ad_status_history", "ad_count"];

/// Drops both schemas.
///
/// # Errors
/// Names the table whose rows differ between the two schemas.
pub(crate) async fn check(
    own: &OwnDatabase,
    left: &str,
    right: &str,
    tables: &[&str],
) -> Result<()> {
    let mut conn = own.superuser().await?;
    for table in tables {
        let mut found = Vec::new();
        for schema in [left, right] {
            // Both names are ours.
            let statement = format!(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text
                 FROM {schema}.{table} AS t"
            );
            let row: (i64, String) = sqlx::query_as(AssertSqlSafe(statement))
                .fetch_one(&mut conn)
                .await?;
            found.push(row);
        }
        ensure!(
            found[0] == found[1],
            "{table} differs: {:?} in {left}, {:?} in {right}",
            found[0],
            found[1]
        );
    }
    for schema in [left, right] {
        let statement = format!("DROP SCHEMA {schema} CASCADE");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await?;
    }
    conn.close().await?;
    Ok(())
}
