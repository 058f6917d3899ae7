//! What has to be done now and then: marks made durable, old segments deleted, producers that
//! went away forgotten, the offsets' log made smaller.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::api::{blocking, now_ms};
use crate::server::Server;

/// How far a sync mark may lag behind on disk.
const MARKS: Duration = Duration::from_secs(1);
/// Rounds of [`MARKS`] between two looks at what is rarer.
const ROUNDS: u32 = 5;
/// Kafka's `producer.id.expiration.ms`: a day.
const PRODUCER_EXPIRY_MS: i64 = 24 * 3600 * 1000;

/// Runs until it is dropped, or the broker fails.
pub(crate) async fn keep(server: Arc<Server>) {
    let mut rounds = tokio::time::interval(MARKS);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0u32;
    loop {
        rounds.tick().await;
        round = round.wrapping_add(1);
        let shared = server.clone();
        let kept = blocking(move || {
            let closed = shared.closed.lock().expect("no holder panics");
            if *closed {
                return Ok(());
            }
            sync_marks(&shared)?;
            if round.is_multiple_of(ROUNDS) {
                tidy(&shared)
            } else {
                Ok(())
            }
        });
        match kept.await {
            Ok(()) => {}
            Err(error @ Error::Sync { .. }) => server.syncer.fail(error),
            // A full disk, most likely. It is tried again; records are safe meanwhile.
            Err(error) => tracing::error!(%error, "the log could not be tidied"),
        }
    }
}

pub(crate) fn sync_marks(server: &Server) -> Result<(), Error> {
    for topic in server.topics.all() {
        for partition in &topic.partitions {
            match partition.sync_mark() {
                Err(_) if partition.is_deleted() => {}
                synced => synced?,
            }
        }
    }
    server.coordinator.offsets.log().sync_mark()
}

pub(crate) fn tidy(server: &Server) -> Result<(), Error> {
    let now = now_ms();
    for topic in server.topics.all() {
        for partition in &topic.partitions {
            match partition.retain(&topic.log_settings, now) {
                // Its files were moved away.
                Err(_) if partition.is_deleted() => {}
                retained => retained?,
            }
            partition.log().expire_producers(now - PRODUCER_EXPIRY_MS);
        }
    }
    server.coordinator.offsets.compact_if_worth(now)
}
