//! Reading a range of one partition, without a group.

use compline_event::{Offset, Partition, Topic};

use crate::{
    LogConfig, LogError, PartitionReader, ReadError, Record,
    client::{Client, Names},
    fetch::Fetcher,
};

/// A replay fetches far ahead: nobody waits for its first record, and the disk
/// sets its pace.
const AHEAD_KILOBYTES: &str = "8192";

const BATCH_RECORDS: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;

/// A range of one partition, from its first record to its last.
#[derive(Debug)]
pub struct Replay {
    reader: PartitionReader,
    to: Offset,
}

impl Replay {
    pub(crate) fn new(
        config: &LogConfig,
        names: Names,
        topic: Topic,
        partition: Partition,
        from: Offset,
        to: Offset,
    ) -> Result<Self, LogError> {
        let mut settings = config.reader(&format!("{}replay", config.prefix));
        settings
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("max.partition.fetch.bytes", "4194304")
            .set("queued.max.messages.kbytes", AHEAD_KILOBYTES)
            .set("queued.min.messages", "1000000")
            .set("fetch.queue.backoff.ms", "1");
        let fetcher = Fetcher::new(Client::new(names, &settings)?);
        let reader = fetcher.open(topic, partition, from)?;
        Ok(Self { reader, to })
    }

    /// Where the next batch starts.
    pub fn next_offset(&self) -> Offset {
        self.reader.next_offset()
    }

    /// The next records of the range; `None` when it has been read. Waits while
    /// the range reaches beyond the log's end.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        while self.reader.next_offset() < self.to {
            let left = usize::try_from(self.to.0 - self.reader.next_offset().0);
            let most = left.unwrap_or(BATCH_RECORDS).min(BATCH_RECORDS);
            if let Some(mut batch) = self.reader.take_batch(most, BATCH_BYTES).await? {
                // Offsets may have gaps, so fewer records may have been left.
                batch.retain(|record| record.at.offset < self.to);
                return Ok((!batch.is_empty()).then_some(batch));
            }
            if self.reader.is_at_end() && self.ends_in_a_gap().await {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether the log reaches the range's end although no record stands there:
    /// a cluster's own markers take offsets too.
    async fn ends_in_a_gap(&self) -> bool {
        match self.reader.bounds().await {
            Ok(bounds) => bounds.end >= self.to,
            Err(_) => false,
        }
    }
}
