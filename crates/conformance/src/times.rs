//! Offsets by time.

use anyhow::ensure;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::Log;
use crate::kit::{WAIT, blocking, send};

const SOME_DAY: i64 = 1_700_000_000_000;

/// Exact where batches are not compressed. In a compressed one, a log may answer with the batch's
/// first record: that is a documented difference, and this check stays with the former.
pub(crate) async fn times_are_looked_up(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[("retention.ms", "-1")]).await?;
    let single: FutureProducer = log.client().set("linger.ms", "0").create()?;
    for i in 0..20 {
        let record = FutureRecord::to(&topic)
            .payload("x")
            .timestamp(SOME_DAY + i * 1_000);
        send(&single, record).await?;
    }
    let batched: FutureProducer = log.client().set("linger.ms", "100").create()?;
    let mut sent = Vec::new();
    for i in 20..100 {
        let record = FutureRecord::<str, str>::to(&topic)
            .payload("x")
            .timestamp(SOME_DAY + i * 1_000);
        sent.push(batched.send_result(record).map_err(|(error, _)| error)?);
    }
    for delivery in sent {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    let reader = log.reader()?;
    blocking(move || {
        for (after, wanted) in [
            (-1, Offset::Offset(0)),
            (0, Offset::Offset(0)),
            (1, Offset::Offset(1)),
            (10_500, Offset::Offset(11)),
            (50_000, Offset::Offset(50)),
            (98_001, Offset::Offset(99)),
            (99_001, Offset::End),
        ] {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Offset(SOME_DAY + after))?;
            let found = reader.offsets_for_times(list, WAIT)?.elements()[0].offset();
            ensure!(found == wanted, "{after} ms: {found:?}, not {wanted:?}");
        }
        ensure!(reader.fetch_watermarks(&topic, 0, WAIT)? == (0, 100));
        Ok(())
    })
    .await
}
