//! When everything is as it was: every door answers, and what the log held by then, and
//! what came of it, is applied.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use compline::client::Client;
use compline_api::command::ConnectAccountRequest;
use compline_event::{Offset, Partition, Topic};
use compline_eventlog::Log;
use compline_readmodel::{Role, generation::SCHEMA};
use rand::Rng as _;
use sqlx::PgPool;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::reads;
use crate::town::Town;

/// Who needs longer hangs.
const WITHIN: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

/// Webhook, what the engine tells of it, what is projected of that.
const STEPS: usize = 2;

/// Of each lane of the load several.
const WEBHOOKS: u64 = 20;

type Ends = BTreeMap<(Topic, Partition), Offset>;

/// # Errors
/// Says who does not get there.
pub(super) async fn of(town: &mut Town, key: &str, acknowledged: &AtomicU64) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    let query = town.clients("query", key)?.remove(0);
    let command = town.clients("command", key)?.remove(0);
    until(town, deadline, "query", async || {
        reads::list(&query, ANSWER).await.is_some()
    })
    .await?;
    until(town, deadline, "command", async || connect(&command).await).await?;
    let before = acknowledged.load(Ordering::Relaxed);
    until(town, deadline, "ingress", async || {
        acknowledged.load(Ordering::Relaxed) >= before + WEBHOOKS
    })
    .await?;
    let pool = town.database.pool(Role::Owner, SCHEMA, 1);
    for _ in 0..STEPS {
        let ends = ends(&town.log).await?;
        loop {
            let behind = behind(&pool, &ends).await?;
            if behind.is_empty() {
                break;
            }
            ensure!(Instant::now() < deadline, "behind: {}", behind.join(", "));
            town.rest(AGAIN).await?;
        }
        let decided = decided(&pool).await?;
        until(town, deadline, "the relay", async || {
            is_told(&pool, &decided).await.unwrap_or(false)
        })
        .await?;
    }
    // As it was is also: nobody says that something stands still.
    for instance in &town.instances {
        let ready = instance.is_ready().await;
        ensure!(ready, "{} is not ready", instance.name);
    }
    Ok(())
}

async fn until(
    town: &mut Town,
    deadline: Instant,
    who: &str,
    answers: impl AsyncFn() -> bool,
) -> Result<()> {
    while !answers().await {
        ensure!(Instant::now() < deadline, "{who} does not answer");
        town.rest(AGAIN).await?;
    }
    Ok(())
}

async fn connect(door: &Client) -> bool {
    let request = ConnectAccountRequest {
        request_id: Uuid::now_v7().to_string(),
        ad_account_id: format!("99{:07}", rand::rng().random_range(0..10_000_000)),
        ..Default::default()
    };
    let mut accounts = door.accounts();
    let answer = timeout(ANSWER, accounts.connect_account(request)).await;
    matches!(answer, Ok(Ok(_)))
}

async fn ends(log: &Log) -> Result<Ends> {
    let of = |topic| Log::partitions(topic).map(move |partition| (topic, partition));
    let places: Vec<_> = Topic::ALL.into_iter().flat_map(of).collect();
    let ends = log.ends(&places).await?;
    Ok(ends
        .into_iter()
        .map(|(topic, partition, end)| ((topic, partition), end))
        .collect())
}

/// Whose checkpoints stand before `ends`.
async fn behind(pool: &PgPool, ends: &Ends) -> Result<Vec<String>> {
    let checkpoints: Vec<(String, String, i32, i64)> =
        sqlx::query_as("SELECT projection, topic, partition, next_offset FROM compline.checkpoint")
            .fetch_all(pool)
            .await?;
    let mut behind = Vec::new();
    for (projection, topic, partition, next_offset) in checkpoints {
        let place = (topic.parse()?, Partition(partition));
        let Some(end) = ends.get(&place) else {
            bail!("{projection} reads {topic}/{partition}, which is not there");
        };
        if next_offset < end.0 {
            behind.push(format!(
                "{projection} at {next_offset} of {end} of {topic}/{partition}"
            ));
        }
    }
    Ok(behind)
}

/// The last number of each output partition that waits to be told.
async fn decided(pool: &PgPool) -> Result<Vec<(String, i32, i64)>> {
    let last = "SELECT topic, partition, max(number) FROM engine.outbox GROUP BY topic, partition";
    Ok(sqlx::query_as(last).fetch_all(pool).await?)
}

async fn is_told(pool: &PgPool, decided: &[(String, i32, i64)]) -> Result<bool> {
    let waiting = "SELECT EXISTS (SELECT FROM engine.outbox
                   WHERE topic = $1 AND partition = $2 AND number <= $3)";
    for (topic, partition, number) in decided {
        let waits: bool = sqlx::query_scalar(waiting)
            .bind(topic)
            .bind(partition)
            .bind(number)
            .fetch_one(pool)
            .await?;
        if waits {
            return Ok(false);
        }
    }
    Ok(true)
}
