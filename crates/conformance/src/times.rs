//! Offsets by time.

use anyhow::ensure;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, Timestamp, TopicPartitionList};

use crate::Log;
use crate::kit::{WAIT, blocking, send};
use crate::raw::{said, topic_name};

const SOME_DAY: i64 = 1_700_000_000_000;

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

pub(crate) async fn a_time_inside_of_a_compressed_batch_is_looked_up(
    log: Log,
) -> anyhow::Result<()> {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let topic = compressed(&log, codec).await?;
        for (after, wanted) in [(-1, 0), (0, 0), (1, 1), (7_500, 8), (19_000, 19)] {
            let found = look_up(&log, &topic, SOME_DAY + after).await?;
            ensure!(
                found == (wanted, SOME_DAY + wanted * 1_000),
                "{codec}, {after} ms: {found:?}, not {wanted}"
            );
        }
        let found = look_up(&log, &topic, SOME_DAY + 19_001).await?;
        ensure!(found == (-1, -1), "{codec}: {found:?} behind the last");
    }
    Ok(())
}

/// KIP-734: the offset of the newest timestamp, which need not be the last record's.
pub(crate) async fn the_newest_timestamp_is_found(log: Log) -> anyhow::Result<()> {
    const NEWEST: i64 = -3;
    let topic = log.topic(1, &[("retention.ms", "-1")]).await?;
    let found = look_up(&log, &topic, NEWEST).await?;
    ensure!(found == (-1, -1), "in an empty partition: {found:?}");
    let producer: FutureProducer = log.client().set("linger.ms", "0").create()?;
    for (after, wanted) in [(5, (0, 5)), (9, (1, 9)), (3, (1, 9))] {
        let record = FutureRecord::to(&topic).payload("x");
        send(&producer, record.timestamp(SOME_DAY + after)).await?;
        let found = look_up(&log, &topic, NEWEST).await?;
        ensure!(found == (wanted.0, SOME_DAY + wanted.1), "{found:?}");
    }
    Ok(())
}

pub(crate) async fn a_topic_may_be_stamped_by_the_log(log: Log) -> anyhow::Result<()> {
    let topic = log
        .topic(1, &[("message.timestamp.type", "LogAppendTime")])
        .await?;
    let record = FutureRecord::to(&topic).payload("x").timestamp(SOME_DAY);
    send(&log.producer()?, record).await?;
    let read = log.read(&topic, 1).await?;
    match read[0].timestamp() {
        Timestamp::LogAppendTime(at) if at > SOME_DAY => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Twenty records, a second apart, in one batch.
async fn compressed(log: &Log, codec: &str) -> anyhow::Result<String> {
    let topic = log.topic(1, &[("retention.ms", "-1")]).await?;
    let producer: FutureProducer = log
        .client()
        .set("compression.type", codec)
        .set("linger.ms", "500")
        .create()?;
    let value = "x".repeat(200);
    let mut sent = Vec::new();
    for i in 0..20 {
        let record = FutureRecord::<str, str>::to(&topic)
            .payload(&value)
            .timestamp(SOME_DAY + i * 1_000);
        sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for delivery in sent {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    Ok(topic)
}

/// Offset and timestamp; -1 where there is none.
async fn look_up(log: &Log, topic: &str, time: i64) -> anyhow::Result<(i64, i64)> {
    let part = ListOffsetsPartition::default()
        .with_current_leader_epoch(-1)
        .with_timestamp(time);
    let asked = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![part]);
    let ask = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked]);
    let answer = log.leader(topic, 0).await?.ask(7, &ask).await?;
    let found = &answer.topics[0].partitions[0];
    ensure!(found.error_code == 0, "{}", said(found.error_code));
    Ok((found.offset, found.timestamp))
}
