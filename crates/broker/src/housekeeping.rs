//! What has to be done now and then: marks made durable, old segments deleted, producers that
//! went away forgotten, topics compacted, the offsets' log made smaller.

mod door;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use door::Door;

use crate::Error;
use crate::api::{blocking, now_ms};
use crate::partition::Partition;
use crate::server::Server;
use crate::topics::Topic;

/// How far a sync mark may lag behind on disk.
const MARKS: Duration = Duration::from_secs(1);
/// Rounds of [`MARKS`] between two looks at what is rarer.
const ROUNDS: u32 = 5;

/// Runs until it is dropped.
pub(crate) async fn keep(server: Arc<Server>) {
    let mut rounds = tokio::time::interval(MARKS);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0u32;
    loop {
        rounds.tick().await;
        round = round.wrapping_add(1);
        let shared = server.clone();
        blocking(move || {
            let Some(_inside) = shared.door.enter() else {
                return;
            };
            let mut kept = sync_marks(&shared);
            if round.is_multiple_of(ROUNDS) {
                kept = kept.and_then(|()| tidy(&shared));
            }
            report(&shared, kept);
        })
        .await;
    }
}

/// Runs until it is dropped. Apart from the rest, because a large log takes long.
pub(crate) async fn keep_compacting(server: Arc<Server>) {
    let mut rounds = tokio::time::interval(server.config.compaction_interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let shared = server.clone();
        blocking(move || {
            if let Some(_inside) = shared.door.enter() {
                report(&shared, compact(&shared));
            }
        })
        .await;
    }
}

/// Called inside: who closes the log waits for it, and nobody else may be left to be told.
fn report(server: &Server, result: Result<(), Error>) {
    match result {
        Ok(()) => {}
        Err(error @ Error::Sync { .. }) => server.syncer.fail(error),
        Err(error) => tracing::error!(error = error.with_sources(), "the log could not be tidied"),
    }
}

pub(crate) fn sync_marks(server: &Server) -> Result<(), Error> {
    for_each(server, "make its sync mark durable", |_, partition| {
        partition.sync_mark()
    })?;
    server.coordinator.offsets.log().sync_mark()
}

pub(crate) fn tidy(server: &Server) -> Result<(), Error> {
    let now = now_ms();
    let expiry = i64::try_from(server.config.producer_id_expiration.as_millis());
    let expired = now.saturating_sub(expiry.unwrap_or(i64::MAX));
    for_each(server, "delete what expired", |topic, partition| {
        partition.log().expire_producers(expired);
        partition.retain(&topic.log_settings, now)
    })?;
    compact_offsets(server, now)
}

pub(crate) fn compact_offsets(server: &Server, now_ms: i64) -> Result<(), Error> {
    if let Some(log) = server.coordinator.offsets.compact_if_worth(now_ms)? {
        // Some may wait for what was written to it last.
        server.syncer.enqueue(&log);
    }
    Ok(())
}

pub(crate) fn compact(server: &Server) -> Result<(), Error> {
    let now = now_ms();
    for_each(server, "compact", |topic, partition| {
        let goes_on = || !server.door.is_closing() && !partition.is_deleted();
        partition.compact(&topic.log_settings, now, &goes_on)
    })
}

/// What fails for one partition, on a disk that is full most likely, is tried again later; the
/// others may be what makes room. Only a failed sync ends it.
fn for_each(
    server: &Server,
    doing: &str,
    work: impl Fn(&Topic, &Partition) -> Result<(), Error>,
) -> Result<(), Error> {
    for topic in server.topics.all() {
        for (number, partition) in topic.partitions.iter().enumerate() {
            match work(&topic, partition) {
                Ok(()) => {}
                // Its files were moved away.
                Err(_) if partition.is_deleted() => {}
                Err(error @ Error::Sync { .. }) => return Err(error),
                Err(error) => {
                    tracing::error!(error = error.with_sources(), topic = %topic.name, partition = number, "could not {doing}");
                }
            }
        }
    }
    Ok(())
}
