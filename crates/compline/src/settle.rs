//! Waiting until what stands in the log now has come to its end: engines have decided
//! over it, what they decided stands in the log, and projections have that too.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use compline_event::{Offset, Partition, Topic};
use compline_eventlog::Log;
use tokio::time::{Instant, sleep};

use crate::inspect::{Checkpoint, Inspector};

const PAUSE: Duration = Duration::from_millis(10);

/// Whether it came to its end within `patience`. What is appended meanwhile is not
/// waited for, but what engines have still to tell must be told for once.
pub async fn settle(log: &Log, inspector: &mut Inspector, patience: Duration) -> Result<bool> {
    let deadline = Instant::now() + patience;
    let passed = pass(log, inspector, Checkpoint::is_engines, deadline).await?
        && told(inspector, deadline).await?
        && pass(log, inspector, |checkpoint| checkpoint.live, deadline).await?;
    Ok(passed)
}

/// Until the readers that count have passed what is there now.
async fn pass(
    log: &Log,
    inspector: &mut Inspector,
    counts: impl Fn(&Checkpoint) -> bool,
    deadline: Instant,
) -> Result<bool> {
    let mut ends: Option<BTreeMap<(Topic, Partition), Offset>> = None;
    loop {
        let mut checkpoints = inspector.checkpoints().await?;
        checkpoints.retain(&counts);
        let ends = match &ends {
            Some(ends) => ends,
            None => ends.insert(ends_of(log, &checkpoints).await?),
        };
        let behind = |checkpoint: &Checkpoint| {
            let end = ends.get(&(checkpoint.topic, checkpoint.partition));
            end.is_some_and(|end| checkpoint.next_offset < *end)
        };
        if !checkpoints.iter().any(behind) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
}

async fn ends_of(
    log: &Log,
    checkpoints: &[Checkpoint],
) -> Result<BTreeMap<(Topic, Partition), Offset>> {
    let places = checkpoints.iter().map(|at| (at.topic, at.partition));
    let mut places: Vec<_> = places.collect();
    places.sort_unstable();
    places.dedup();
    let ends = log.ends(&places).await?;
    Ok(ends
        .into_iter()
        .map(|(topic, partition, end)| ((topic, partition), end))
        .collect())
}

async fn told(inspector: &mut Inspector, deadline: Instant) -> Result<bool> {
    while inspector.outbox().await? > 0 {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
    Ok(true)
}
