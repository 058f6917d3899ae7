//! Row level security, table by table, as the catalogue of Postgres has it. What
//! it does to rows is `law::nobody_reads_anothers`.
//!
//! Tables without a tenant are named in `schemas/tables-without-tenant.txt`, so
//! that a new one is a decision and not an oversight.

use std::collections::BTreeSet;

use compline_activity::ActivityTrail;
use compline_ad::AdEngine;
use compline_ad_status::AdStatus;
use compline_eventlog::TopicSpec;
use compline_readmodel::{
    Projection,
    generation::{self, Plan},
};
use compline_tenancy::Tenancy;
use compline_testkit::{Postgres, postgres};

const WITHOUT_TENANT: &str = include_str!("../../../../schemas/tables-without-tenant.txt");

/// What the query role may read although no tenant owns it: which generation to
/// read is the same for all.
const READABLE: [&str; 2] = ["compline.generation", "compline.pointer"];

#[derive(Debug, sqlx::FromRow)]
struct Table {
    name: String,
    /// Row level security is on, for the owner too.
    secured: bool,
    tenant_first: bool,
    readable: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_its_tenant_or_is_listed() {
    let postgres = postgres().await;
    make::<AdStatus>(&postgres).await;
    make::<ActivityTrail>(&postgres).await;
    make::<Tenancy>(&postgres).await;
    compline_engine::migrate::<AdEngine>(postgres.database(), Vec::new(), [])
        .await
        .unwrap();
    let tables = tables(&postgres).await;
    let listed: BTreeSet<&str> = WITHOUT_TENANT
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect();

    let names: BTreeSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let gone: Vec<_> = listed.difference(&names).collect();
    assert!(gone.is_empty(), "listed, and not there: {gone:?}");
    for table in &tables {
        let name = table.name.as_str();
        if listed.contains(name) {
            assert!(!table.tenant_first, "{name} has a tenant and is listed");
            assert!(!table.readable || READABLE.contains(&name), "{table:?}");
            continue;
        }
        assert!(table.secured, "no forced row level security: {table:?}");
        // Parked keys are found by their place; their tenant is a column, and absent
        // where a record could not be read.
        if !["compline.parked_key", "compline.discarded_key"].contains(&name) {
            assert!(table.tenant_first, "the key begins otherwise: {table:?}");
        }
        if name.starts_with("engine") {
            assert!(!table.readable, "an engine's state is its own: {table:?}");
        }
    }
}

async fn make<P: Projection>(postgres: &Postgres) {
    let plan = Plan::first::<P>(|topic| TopicSpec::of(topic).partitions);
    generation::create(postgres.database(), &plan)
        .await
        .unwrap();
}

async fn tables(postgres: &Postgres) -> Vec<Table> {
    sqlx::query_as(
        "SELECT nspname || '.' || relname AS name,
                relrowsecurity AND relforcerowsecurity AS secured,
                EXISTS (SELECT FROM pg_index JOIN pg_attribute
                            ON attrelid = indrelid AND attnum = indkey[0]
                        WHERE indrelid = c.oid AND indisprimary AND attname = 'tenant_id') AS tenant_first,
                has_schema_privilege('compline_query', n.oid, 'USAGE')
                    AND has_table_privilege('compline_query', c.oid, 'SELECT') AS readable
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'p') AND relname <> '_sqlx_migrations'
           AND nspname NOT IN ('pg_catalog', 'information_schema')
         ORDER BY 1",
    )
    .fetch_all(&mut postgres.superuser().await)
    .await
    .unwrap()
}
