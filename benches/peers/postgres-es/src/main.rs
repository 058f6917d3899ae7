//! The work of our projection, done with cqrs-es and postgres-es: an ad is an aggregate,
//! a change of its status a command, and its row a view.
//!
//! ```text
//! peer URL COMMANDS TASKS      COMMANDS: a file of JSON lines; URL names the schema
//! ```
//! Each line of standard input is an order; each is answered with one line of JSON. It ends
//! with its input.
//!
//! | order | does |
//! |---|---|
//! | `execute` | every command: events stored, view updated |
//! | `replay` | empties the view and makes it again from the stored events |

mod ad;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, bail};
use cqrs_es::persist::{GenericQuery, QueryReplay};
use postgres_es::{PostgresCqrs, PostgresEventRepository, PostgresViewRepository, postgres_cqrs};
use sqlx::{Pool, Postgres, postgres::PgPoolOptions};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

use ad::{Ad, AdRow, ChangeStatus};

const VIEW: &str = "ad_row";

type Rows = PostgresViewRepository<AdRow, Ad>;

/// The commands of each ad, in order, shared out among tasks.
type Shares = Vec<BTreeMap<String, Vec<ChangeStatus>>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name| {
        arguments
            .next()
            .with_context(|| format!("{name} is missing"))
    };
    let (url, commands) = (argument("URL")?, argument("COMMANDS")?);
    let tasks: u32 = argument("TASKS")?.parse()?;
    let shares = share(&std::fs::read_to_string(commands)?, tasks as usize)?;
    let count: usize = shares.iter().flat_map(BTreeMap::values).map(Vec::len).sum();
    let pool = PgPoolOptions::new()
        .min_connections(tasks)
        .max_connections(tasks)
        .connect(&url)
        .await?;

    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    println!("{{}}");
    while let Some(order) = orders.next_line().await? {
        let shares = shares.clone();
        let seconds = match order.as_str() {
            "execute" => execute(&pool, shares).await?,
            "replay" => replay(&pool, shares).await?,
            other => bail!("there is no order {other}"),
        };
        println!("{{\"events\":{count},\"seconds\":{seconds}}}");
    }
    Ok(())
}

/// An ad's commands stay with one task, or two would decide over it at once and one be refused.
fn share(lines: &str, tasks: usize) -> Result<Shares> {
    let mut ads: BTreeMap<String, Vec<ChangeStatus>> = BTreeMap::new();
    for line in lines.lines() {
        let command: ChangeStatus = serde_json::from_str(line)?;
        let id = format!("{}/{}", command.tenant_id, command.ad_id);
        ads.entry(id).or_default().push(command);
    }
    let mut shares = vec![BTreeMap::new(); tasks];
    for (number, (id, commands)) in ads.into_iter().enumerate() {
        shares[number % tasks].insert(id, commands);
    }
    Ok(shares)
}

async fn execute(pool: &Pool<Postgres>, shares: Shares) -> Result<f64> {
    let cqrs: Arc<PostgresCqrs<Ad>> =
        Arc::new(postgres_cqrs(pool.clone(), vec![Box::new(query(pool))], ()));
    let began = Instant::now();
    let mut working = JoinSet::new();
    for share in shares {
        let cqrs = cqrs.clone();
        working.spawn(async move {
            // Every ad has its turn, as the events come.
            let mut waiting: Vec<_> = share
                .into_iter()
                .map(|(id, commands)| (id, commands.into_iter()))
                .collect();
            while !waiting.is_empty() {
                let mut rest = Vec::with_capacity(waiting.len());
                for (id, mut commands) in waiting {
                    if let Some(command) = commands.next() {
                        cqrs.execute(&id, command).await?;
                        rest.push((id, commands));
                    }
                }
                waiting = rest;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worked) = working.join_next().await {
        worked??;
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn replay(pool: &Pool<Postgres>, shares: Shares) -> Result<f64> {
    sqlx::query("TRUNCATE ad_row").execute(pool).await?;
    let began = Instant::now();
    let mut working = JoinSet::new();
    for share in shares {
        let stored = PostgresEventRepository::new(pool.clone());
        let mut replay = QueryReplay::new(stored, query(pool));
        replay.use_error_handler(Box::new(|error| panic!("{error}")));
        working.spawn(async move {
            for id in share.keys() {
                replay.replay(id).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worked) = working.join_next().await {
        worked??;
    }
    Ok(began.elapsed().as_secs_f64())
}

fn query(pool: &Pool<Postgres>) -> GenericQuery<Rows, AdRow, Ad> {
    let mut query = GenericQuery::new(Arc::new(Rows::new(VIEW, pool.clone())));
    // Without one, an error is passed over.
    query.use_error_handler(Box::new(|error| panic!("{error}")));
    query
}
