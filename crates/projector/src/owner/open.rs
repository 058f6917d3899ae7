//! Whether the log is the one that was folded: asked before its first record is read,
//! and before the first one after it was away.

use std::time::Duration;

use compline_event::{Offset, RecordId};
use compline_eventlog::{PartitionReader, ReadError, Record};
use compline_readmodel::{Fence, Place};

use super::{End, Owner};
use crate::fold::Fold;

/// A record that the log has comes within milliseconds.
const DOUBTED_AFTER: Duration = Duration::from_secs(3);

impl<F: Fold> Owner<F> {
    /// A reader that stands at the fence, after the record before it was seen to
    /// be the one that was applied last.
    pub(super) async fn open(&self, fence: &Fence) -> Result<PartitionReader, End> {
        let Place {
            topic, partition, ..
        } = self.place;
        let bounds = self.log.bounds(topic, partition).await?;
        let next = fence.next_offset;
        if next < bounds.start || next > bounds.end {
            return Err(End::Halt(format!(
                "the checkpoint is at {next}, but the log holds {} up to {}: it was cut, made anew, \
                 or expired before it was read",
                bounds.start, bounds.end
            )));
        }
        let before = Offset(next.0 - 1);
        let Some(expected) = fence.last_event_id.filter(|_| before >= bounds.start) else {
            return Ok(self.starter.start(topic, partition, next).await?);
        };
        let mut reader = self.starter.start(topic, partition, before).await?;
        let found = tokio::select! {
            () = self.stop.cancelled() => return Err(End::Stopped),
            gone = self.is_gone(before) => return Err(gone?),
            found = reader.next_batch(1, 1) => found.map_err(unreadable)?,
        };
        if found.first().and_then(Record::event_id) != Some(expected) {
            let at = RecordId {
                topic,
                partition,
                offset: before,
            };
            return Err(End::Halt(format!(
                "the record at {at} is not the one that was applied last ({expected}): \
                 the log was cut or made anew"
            )));
        }
        Ok(reader)
    }

    /// As after a claim: who was away may have come back as another log. Nothing else is
    /// doubted, so nobody need be told.
    pub(super) async fn reopen(
        &self,
        reader: PartitionReader,
        fence: &Fence,
    ) -> Result<PartitionReader, End> {
        // Nobody else may read the partition.
        drop(reader);
        tracing::debug!(projection = self.fold.name(), topic = %self.place.topic,
            partition = %self.place.partition, "the log was away, looking whether it is the same");
        self.open(fence).await
    }

    /// Comes back when nothing stands at an offset that the log says it has: a reader
    /// would wait there for what comes next, which at the log's end may be long.
    async fn is_gone(&self, offset: Offset) -> Result<End, End> {
        tokio::time::sleep(DOUBTED_AFTER).await;
        let Place {
            topic, partition, ..
        } = self.place;
        let mut replay = self.log.replay(topic, partition, offset, offset.next())?;
        if replay.next_batch().await.map_err(unreadable)?.is_some() {
            return Ok(End::Again("the log is slow".to_owned()));
        }
        let at = RecordId {
            topic,
            partition,
            offset,
        };
        Ok(End::Halt(format!(
            "the record at {at}, which was applied last, is not there any more: it was cut out of the log"
        )))
    }
}

pub(super) fn unreadable(error: ReadError) -> End {
    match error {
        ReadError::Revoked { .. } => End::Stopped,
        ReadError::OutOfRange { .. } | ReadError::Damaged { .. } => End::Halt(error.to_string()),
        ReadError::Transient { .. } | ReadError::Reconnected { .. } => error.into(),
    }
}
