//! The log into a backup: an embedded one, every record at its offset.

use std::path::Path;

use anyhow::{Context as _, Result};
use compline_broker::{Broker, BrokerConfig};
use compline_eventlog::{
    LogConfig,
    copy::{Copier, Verified},
};

use super::{Tell, manifest::PartitionFacts};

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
    let copied = copied?;
    closed.with_context(|| format!("closing the log in {}", into.display()))?;
    Ok(copied.iter().map(facts).collect())
}

async fn copy_and_compare(from: LogConfig, to: LogConfig, tell: Tell<'_>) -> Result<Vec<Verified>> {
    let copier = Copier::new(from, to, &[])?;
    copier.prepare().await?.check()?;
    let source = copier.source().await?;
    tell("copying the log");
    copier.copy(&source).await?;
    tell("comparing the log with its copy");
    let verified = copier.verify(&source).await?;
    copier.groups().await?;
    Ok(verified)
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
