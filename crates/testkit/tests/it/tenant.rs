//! Row level security, table by table: whoever has no tenant set reads nothing,
//! and tables without a tenant are named and kept from the query role.

use std::collections::BTreeSet;

use anyhow::Result;
use compline_readmodel::{Projection, Role, generation::schema_name};
use compline_testkit::TestDatabase;

const WITHOUT_TENANT: &str = include_str!("../../../../schemas/tables-without-tenant.txt");

async fn check<P: Projection>(database: &TestDatabase) -> Result<()> {
    database.create::<P>().await?;
    let schema = schema_name(P::NAME, 1);
    let mut conn = database.connect(Role::Owner, &schema).await?;
    let tables: Vec<(String, bool, bool, Option<String>)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity,
                (SELECT a.attname::text FROM pg_index i JOIN pg_attribute a
                   ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = c.oid AND i.indisprimary)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'",
    )
    .bind(&schema)
    .fetch_all(&mut conn)
    .await?;
    assert!(!tables.is_empty(), "{schema} has tables");
    for (table, enabled, forced, first_key) in tables {
        assert!(
            enabled && forced,
            "{schema}.{table} has no forced row level security"
        );
        assert_eq!(first_key.as_deref(), Some("tenant_id"), "{schema}.{table}");
    }
    Ok(())
}

#[tokio::test]
async fn every_table_of_a_read_model_is_behind_its_tenant() -> Result<()> {
    let database = TestDatabase::new().await?;
    check::<compline_ad_status::AdStatus>(&database).await?;
    check::<compline_activity::ActivityTrail>(&database).await?;
    check::<compline_tenancy::Tenancy>(&database).await?;
    Ok(())
}

/// Every table that the query role may read at all is behind a policy.
#[tokio::test]
async fn the_query_role_sees_no_table_without_a_policy() -> Result<()> {
    let database = TestDatabase::new().await?;
    database.create::<compline_ad_status::AdStatus>().await?;
    database
        .create::<compline_activity::ActivityTrail>()
        .await?;
    database.create::<compline_tenancy::Tenancy>().await?;
    let mut conn = database.connect(Role::Owner, "compline").await?;
    let readable: Vec<(String, bool)> = sqlx::query_as(
        "SELECT n.nspname || '.' || c.relname, c.relrowsecurity
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND has_schema_privilege('compline_query', n.oid, 'USAGE')
           AND has_table_privilege('compline_query', c.oid, 'SELECT')",
    )
    .fetch_all(&mut conn)
    .await?;
    let exempt: BTreeSet<&str> = ["compline.generation", "compline.pointer"].into();
    let listed: BTreeSet<&str> = WITHOUT_TENANT
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    for (table, secured) in readable {
        assert!(secured || exempt.contains(table.as_str()), "{table}");
        assert!(
            !listed.contains(table.as_str()) || exempt.contains(table.as_str()),
            "{table}"
        );
    }
    Ok(())
}
