//! The log into a backup: an embedded one, every record at its offset.

use std::{path::Path, pin::pin, time::Duration};

use anyhow::{Context as _, Result};
use compline_broker::{Broker, BrokerConfig};
use compline_eventlog::{
    Bounds, LogConfig,
    copy::{Copier, Verified},
};

use super::{Tell, manifest::PartitionFacts};
use crate::show;

const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// Copies what the log holds when this is called, compares it, and closes the copy in
/// order. One that was begun before goes on from where it was.
pub(super) async fn copy(
    from: LogConfig,
    into: &Path,
    tell: Tell<'_>,
) -> Result<Vec<PartitionFacts>> {
    super::make_private(into)?;
    let mut config = BrokerConfig::new(into);
    config.bind.set_port(0);
    let broker = Broker::open(config)
        .await
        .with_context(|| format!("the log in {}", into.display()))?
        .start();
    let mut to = LogConfig::new(broker.bootstrap());
    to.prefix.clone_from(&from.prefix);
    let copied = copy_and_compare(from, to, tell).await;
    let closed = broker.stop().await;
    let closed = closed.with_context(|| format!("closing the log in {}", into.display()));
    let copied = match (closed, copied) {
        // Its log failed, and so did the copy into it.
        (Err(cause), Err(copied)) => return Err(cause.context(format!("{copied:#}"))),
        (closed, copied) => closed.and(copied)?,
    };
    Ok(copied.iter().map(facts).collect())
}

async fn copy_and_compare(from: LogConfig, to: LogConfig, tell: Tell<'_>) -> Result<Vec<Verified>> {
    let copier = Copier::new(from, to, &[])?;
    copier.prepare().await?.check()?;
    let (source, progress) = (copier.source().await?, copier.progress());
    let all = show::count(source.iter().map(|(_, held)| records(*held)).sum());
    let copied = || {
        let records = show::count(progress.records());
        tell(&format!("copying the log: {records} new records, of {all}"));
    };
    telling(copier.copy(&source), copied).await?;
    let compared = || {
        let records = show::count(progress.verified());
        tell(&format!("comparing the log: {records} records of {all}"));
    };
    let verified = telling(copier.verify(&source), compared).await?;
    copier.groups().await?;
    Ok(verified)
}

/// Does `work`, and says again and again how far it is.
async fn telling<T>(work: impl Future<Output = T>, tell: impl Fn()) -> T {
    let mut work = pin!(work);
    let mut ticks = tokio::time::interval(TELL_INTERVAL);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => tell(),
        }
    }
}

fn records(held: Bounds) -> u64 {
    u64::try_from(held.end.0 - held.start.0).unwrap_or(0)
}

fn facts(of: &Verified) -> PartitionFacts {
    PartitionFacts {
        topic: of.place.topic.to_string(),
        partition: of.place.partition.0,
        start: of.bounds.start.0,
        end: of.bounds.end.0,
        records: of.records,
        sha256: hex::encode(of.sha256),
    }
}
