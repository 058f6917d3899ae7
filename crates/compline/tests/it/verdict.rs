//! Everything that must hold once the readers have caught up, found out by whoever
//! shares neither loop nor fences nor outbox with the product.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use compline_activity::ActivityTrail;
use compline_ad::AdEngine;
use compline_ad_status::AdStatus;
use compline_event::{Event, Topic};
use compline_eventlog::Log;
use compline_readmodel::{
    Database, Projection, Role,
    generation::{self, SCHEMA},
};
use compline_tenancy::Tenancy;
use compline_testkit::verify::{self, Told};

use crate::{
    house::caught_up,
    load::{BodyHash, hash},
};

/// What was compared, none of it lost, doubled or out of order.
#[derive(Debug)]
pub(crate) struct Verdict {
    acknowledged: usize,
    outputs: usize,
    rows: usize,
    repeats: usize,
    catch_up: Duration,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} webhooks acknowledged, 0 lost; {} outputs and {} rows compared, 0 lost, 0 doubled, \
             0 out of order; {} outputs were told twice and taken once; caught up {:.1?} after the \
             load",
            self.acknowledged, self.outputs, self.rows, self.repeats, self.catch_up
        )
    }
}

pub(crate) async fn all(
    log: &Log,
    database: &Database,
    acknowledged: &HashSet<BodyHash>,
) -> Result<Verdict> {
    ensure!(!acknowledged.is_empty(), "the load was acknowledged at all");
    let began = Instant::now();
    caught_up(log, database).await?;
    let catch_up = began.elapsed();

    let mut kept = HashSet::new();
    for event in verify::read(log, Topic::WebhookMeta).await?.events {
        if let Event::WebhookReceived(webhook) = event.envelope.event {
            kept.insert(hash(&webhook.body));
        }
    }
    let lost = acknowledged.difference(&kept).count();
    ensure!(lost == 0, "{lost} acknowledged webhooks are not in the log");

    let outputs = verify::engine(log, &AdEngine, Topic::Account).await?;
    let ads = verify::read(log, Topic::Ad).await?;
    in_order(&ads)?;
    nothing_is_parked(database).await?;
    let rows = rows::<AdStatus>(log, database).await?
        + rows::<ActivityTrail>(log, database).await?
        + rows::<Tenancy>(log, database).await?;
    Ok(Verdict {
        acknowledged: acknowledged.len(),
        outputs,
        rows,
        repeats: ads.repeats,
        catch_up,
    })
}

/// In every generation that stands.
async fn rows<P: Projection>(log: &Log, database: &Database) -> Result<usize> {
    let pool = database.pool(Role::Owner, SCHEMA, 1);
    let mut conn = pool.acquire().await?;
    let mut rows = 0;
    for each in generation::standing(&mut conn, P::NAME).await? {
        let compared = verify::generation::<P>(log, database, each.generation, &[]).await;
        rows += compared.with_context(|| format!("generation {}", each.generation))?;
    }
    ensure!(rows > 0, "{} has rows at all", P::NAME);
    Ok(rows)
}

/// Each change of an ad begins where the one before it ended.
fn in_order(ads: &Told) -> Result<()> {
    let mut last: HashMap<_, &str> = HashMap::new();
    for event in &ads.events {
        let Event::AdStatusChanged(change) = &event.envelope.event else {
            continue;
        };
        if change.late || change.fetch_needed {
            continue;
        }
        let ad = (event.envelope.tenant, change.level, &change.ad_id);
        let before = last.insert(ad, &change.new_status).unwrap_or_default();
        ensure!(
            before == change.old_status,
            "{}: {ad:?} goes from {:?} to {:?}, and was {before:?}",
            event.at,
            change.old_status,
            change.new_status
        );
    }
    Ok(())
}

async fn nothing_is_parked(database: &Database) -> Result<()> {
    let pool = database.pool(Role::Owner, SCHEMA, 1);
    let parked: Vec<(String, String)> =
        sqlx::query_as("SELECT projection, reason FROM compline.parked_key LIMIT 5")
            .fetch_all(&pool)
            .await?;
    ensure!(parked.is_empty(), "parked: {parked:?}");
    Ok(())
}
