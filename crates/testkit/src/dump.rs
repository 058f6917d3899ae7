//! A schema as text, so that two of them can be compared.

use sqlx::{AssertSqlSafe, PgConnection};

/// Every row of every table of `schema`: one line each, the table's name and the
/// row as JSON, sorted. Two schemas with the same rows give the same text,
/// whatever their names are. `conn` must be of a role that sees all rows.
pub async fn dump(conn: &mut PgConnection, schema: &str) -> Result<String, sqlx::Error> {
    dump_without(conn, schema, &[]).await
}

/// As [`dump`], without the columns of these names, in whatever table.
pub async fn dump_without(
    conn: &mut PgConnection,
    schema: &str,
    columns: &[&str],
) -> Result<String, sqlx::Error> {
    // Times are written in the session's zone.
    sqlx::query("SET TIME ZONE 'UTC'")
        .execute(&mut *conn)
        .await?;
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let mut text = String::new();
    for table in tables(conn, schema).await? {
        let rows = format!(
            r#"SELECT row FROM (SELECT (to_jsonb(t) - $1)::text AS row FROM "{schema}"."{table}" t) AS rows
               ORDER BY row COLLATE "C""#
        );
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows))
            .bind(&columns)
            .fetch_all(&mut *conn)
            .await?;
        for row in rows {
            text.extend([table.as_str(), " ", &row, "\n"]);
        }
    }
    Ok(text)
}

/// The tables of `schema` by name, the migrations' own left out.
pub async fn tables(conn: &mut PgConnection, schema: &str) -> Result<Vec<String>, sqlx::Error> {
    // A partitioned table has its rows in its parts, and is read by its own name.
    sqlx::query_scalar(
        "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT relispartition
           AND relname <> '_sqlx_migrations'
         ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(conn)
    .await
}
