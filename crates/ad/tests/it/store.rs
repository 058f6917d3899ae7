//! The same through Postgres: batches, restarts, races.

use std::time::Duration as Wait;

use compline_ad::AdEngine;
use compline_engine::{Engine, Output, Outputs};
use compline_event::Recorded;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use time::Duration;

use crate::{laws, world::*};

mod database;
mod timer;

use database::Database;

const HOUR: Duration = Duration::HOUR;

const TABLES: [&str; 8] = [
    "account_state",
    "ad_state",
    "pending",
    "progress",
    "seen_change",
    "seen_request",
    "watch",
    "watch_span",
];

/// One batch, as the frame does it.
async fn batch(conn: &mut PgConnection, inputs: &[Recorded]) -> anyhow::Result<Vec<Output>> {
    let mut transaction = conn.begin().await?;
    let mut state = AdEngine.load(&mut transaction, inputs).await?;
    let mut outputs = Outputs::default();
    for input in inputs {
        AdEngine.decide(&mut state, input, &mut outputs)?;
    }
    AdEngine.store(&mut transaction, state).await?;
    transaction.commit().await?;
    Ok(outputs.into_vec())
}

async fn count(conn: &mut PgConnection, table: &str) -> anyhow::Result<i64> {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    Ok(sqlx::query_scalar(query).fetch_one(conn).await?)
}

async fn empty(conn: &mut PgConnection) -> anyhow::Result<()> {
    for table in TABLES {
        let delete = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
        sqlx::query(delete).execute(&mut *conn).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_split_into_batches_gives_the_same_outputs() -> anyhow::Result<()> {
    let mut runner = TestRunner::deterministic();
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let mut told = 0;
    for case in 0..40 {
        let inputs = laws::inputs()
            .new_tree(&mut runner)
            .expect("a tree")
            .current();
        let cuts = proptest::collection::vec(1..8_usize, inputs.len())
            .new_tree(&mut runner)
            .expect("a tree")
            .current();
        empty(&mut conn).await?;
        let mut rest = inputs.as_slice();
        let mut outputs = Vec::new();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            outputs.extend(batch(&mut conn, now).await?);
            rest = later;
        }
        told += outputs.len();
        assert_eq!(lines(&outputs), lines(&decide(&inputs)), "case {case}");
        assert_eq!(outputs, decide(&inputs), "case {case}");
    }
    assert!(told > 1_000, "{told} outputs show something");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_and_its_connection_at_once_are_told_once() -> anyhow::Result<()> {
    let hooks = [
        webhook(0, Duration::ZERO, relayed("5", T, "9", "DISAPPROVED")),
        webhook(1, Duration::ZERO, relayed("5", T + 1, "9", "ACTIVE")),
    ];
    let connection = [connect(0, HOUR, ONE, "5")];
    let expected = decide(&[&connection[..], &hooks].concat());
    assert_eq!(expected.len(), 6);
    for webhook_first in [true, false] {
        let database = Database::new().await?;
        let mut first = database.connect().await?;
        let mut second = database.connect().await?;
        let (before, after): (&[Recorded], &[Recorded]) = if webhook_first {
            (&hooks, &connection)
        } else {
            (&connection, &hooks)
        };

        // The first holds its locks, its state unwritten, while the second comes.
        let mut transaction = first.begin().await?;
        let mut state = AdEngine.load(&mut transaction, before).await?;
        let after = after.to_vec();
        let mut waiting = tokio::spawn(async move { batch(&mut second, &after).await });
        let early = tokio::time::timeout(Wait::from_millis(300), &mut waiting).await;
        assert!(
            early.is_err(),
            "the second read before the first had written"
        );

        let mut outputs = Outputs::default();
        for input in before {
            AdEngine.decide(&mut state, input, &mut outputs)?;
        }
        AdEngine.store(&mut transaction, state).await?;
        transaction.commit().await?;
        let mut told = outputs.into_vec();
        told.extend(waiting.await??);
        assert_eq!(told, expected, "webhook first: {webhook_first}");
        let mut conn = database.connect().await?;
        assert_eq!(count(&mut conn, "pending").await?, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_neither_lose_nor_double_nor_deadlock() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut tasks = Vec::new();
    // Each task is one partition; all name all accounts, each in its own order.
    for partition in 0..4_i32 {
        let mut conn = database.connect().await?;
        tasks.push(tokio::spawn(async move {
            let mut told = Vec::new();
            for round in 0..10_i64 {
                let mut inputs = Vec::new();
                for n in 0..10_i64 {
                    let account = format!("5{}", (n * i64::from(partition + 1) + round) % 10);
                    let ad = format!("{partition}00{n}{round}");
                    let mut hook = webhook(
                        round * 10 + n,
                        Duration::ZERO,
                        relayed(&account, T, &ad, "ACTIVE"),
                    );
                    hook.at.partition.0 = partition;
                    inputs.push(hook);
                }
                told.extend(batch(&mut conn, &inputs).await?);
            }
            anyhow::Ok(told)
        }));
    }
    let mut conn = database.connect().await?;
    tasks.push(tokio::spawn(async move {
        let mut told = Vec::new();
        for account in (0..10).rev() {
            let connection = connect(account, HOUR, ONE, &format!("5{account}"));
            told.extend(batch(&mut conn, &[connection]).await?);
        }
        anyhow::Ok(told)
    }));
    let mut ids = Vec::new();
    for task in tasks {
        ids.extend(task.await??.iter().map(id));
    }
    assert_eq!(ids.len(), 2 * 400, "a change and an activity each");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2 * 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_accounts_than_locks() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let inputs: Vec<Recorded> = (0..2_000)
        .map(|n| webhook(n, Duration::ZERO, relayed(&n.to_string(), T, "9", "A")))
        .collect();
    batch(&mut conn, &inputs).await?;
    assert_eq!(count(&mut conn, "pending").await?, 2_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_role_sees_no_table_and_no_tenant_is_in_the_open() -> anyhow::Result<()> {
    let database = Database::new().await?;
    let mut conn = database.connect().await?;
    let tables: Vec<(String, bool, bool, bool)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity,
                EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'),
                has_table_privilege('compline_query', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
         FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
             AND c.relname <> '_sqlx_migrations' ORDER BY 1",
    )
    .fetch_all(&mut conn)
    .await?;
    let names: Vec<&str> = tables.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, TABLES);
    for (table, forced, has_tenant, readable) in tables {
        assert_eq!(forced, has_tenant, "{table}");
        assert!(!readable, "{table}");
    }
    Ok(())
}

/// How a test connects: as the engine's own role.
fn engine_role(options: PgConnectOptions, schema: &str) -> PgConnectOptions {
    options
        .username("compline_engine")
        .password(database::PASSWORD)
        .options([
            ("search_path", schema),
            ("lock_timeout", "5s"),
            ("statement_timeout", "8s"),
        ])
}
