//! What becomes of old records: deleted by size, by age, on demand; all but the newest of a key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::time::sleep;

use crate::Log;
use crate::kit::{WAIT, assign, blocking, drain, name, options, send};

/// The smallest segment that Kafka takes.
const SEGMENT: usize = 1 << 20;

pub(crate) async fn old_segments_go_when_there_is_too_much(log: Log) -> anyhow::Result<()> {
    const RECORDS: i64 = 80;
    let size = SEGMENT.to_string();
    let settings = [
        ("segment.bytes", size.as_str()),
        ("retention.bytes", size.as_str()),
        ("retention.ms", "-1"),
    ];
    let topic = log.topic(1, &settings).await?;
    let value = "x".repeat(50_000);
    let producer = log.producer()?;
    for _ in 0..RECORDS {
        send(&producer, FutureRecord::to(&topic).payload(&value)).await?;
    }
    let start = start_moves(&log, &topic, RECORDS).await?;
    let left = (RECORDS - start) * value.len() as i64;
    ensure!(left >= SEGMENT as i64, "only {left} bytes are left");
    let read = log.read(&topic, (RECORDS - start) as usize).await?;
    ensure!(
        read[0].offset() == start,
        "{} is the first",
        read[0].offset()
    );
    Ok(())
}

/// Also the segment that is being written.
pub(crate) async fn records_go_when_they_are_too_old(log: Log) -> anyhow::Result<()> {
    const RECORDS: i64 = 10;
    let topic = log.topic(1, &[("retention.ms", "3600000")]).await?;
    let producer = log.producer()?;
    for _ in 0..RECORDS {
        let record = FutureRecord::to(&topic).payload("x");
        send(&producer, record.timestamp(1_700_000_000_000)).await?;
    }
    let mut start = 0;
    while start < RECORDS {
        start = start_moves(&log, &topic, RECORDS).await?;
    }
    let offset = send(&producer, FutureRecord::to(&topic).payload("young")).await?;
    ensure!(offset == RECORDS, "offset {offset} is given again");
    sleep(Duration::from_secs(2)).await;
    ensure!(log.read(&topic, 1).await?[0].payload() == Some(&b"young"[..]));
    Ok(())
}

pub(crate) async fn records_are_deleted_up_to_where_there_are_some(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    for _ in 0..10 {
        send(&producer, FutureRecord::to(&topic).payload("x")).await?;
    }
    for (before, wanted) in [
        (Offset::Offset(11), Err(RDKafkaErrorCode::OffsetOutOfRange)),
        (Offset::Offset(3), Ok(3)),
        // Behind what is there already: nothing comes back.
        (Offset::Offset(1), Ok(3)),
        (Offset::End, Ok(10)),
    ] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, before)?;
        let deleted = log.admin()?.delete_records(&list, &options()).await?;
        let found = deleted.elements()[0]
            .error()
            .map_err(|error| error.rdkafka_error_code());
        ensure!(
            found == wanted.map(|_| ()).map_err(Some),
            "{before:?}: {found:?}"
        );
        if let Ok(start) = wanted {
            let ends = ends(&log, &topic).await?;
            ensure!(ends == (start, 10), "{before:?}: {ends:?}");
        }
    }
    Ok(())
}

/// What is only compacted keeps the last record of each key, whoever asks.
pub(crate) async fn records_of_a_compacted_topic_are_not_deleted(log: Log) -> anyhow::Result<()> {
    for (policy, wanted) in [
        ("compact", Err(Some(RDKafkaErrorCode::PolicyViolation))),
        ("compact,delete", Ok(())),
    ] {
        let topic = log.topic(1, &[("cleanup.policy", policy)]).await?;
        let producer = log.producer()?;
        send(&producer, FutureRecord::to(&topic).key("k").payload("x")).await?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(1))?;
        let deleted = log.admin()?.delete_records(&list, &options()).await?;
        let found = deleted.elements()[0]
            .error()
            .map_err(|error| error.rdkafka_error_code());
        ensure!(found == wanted, "{policy}: {found:?}");
    }
    Ok(())
}

/// A reader whose place was deleted is told, or goes on where it was told to.
pub(crate) async fn a_reader_under_whom_the_start_moves_is_told(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    for _ in 0..100 {
        send(&producer, FutureRecord::to(&topic).payload("x")).await?;
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(60))?;
    log.admin()?.delete_records(&list, &options()).await?;
    for reset in ["error", "earliest", "latest"] {
        let reader: BaseConsumer = log
            .client()
            .set("group.id", name("reader"))
            .set("auto.offset.reset", reset)
            .create()?;
        let (topic, producer) = (topic.clone(), producer.clone());
        let found = blocking(move || {
            assign(&reader, &topic, &[(0, Offset::Offset(10))])?;
            let until = Instant::now() + WAIT;
            while Instant::now() < until {
                match reader.poll(Duration::from_millis(100)) {
                    Some(Err(KafkaError::MessageConsumption(
                        RDKafkaErrorCode::AutoOffsetReset,
                    ))) => return Ok(-1),
                    Some(Ok(message)) => return Ok(message.offset()),
                    Some(Err(other)) => bail!("{other:?}"),
                    // Who begins at the end waits for something new.
                    None if reset == "latest" => drop(
                        producer.send_result(FutureRecord::<str, str>::to(&topic).payload("new")),
                    ),
                    None => {}
                }
            }
            bail!("nothing was said")
        });
        let found = found.await?;
        let fine = match reset {
            "error" => found == -1,
            "earliest" => found == 60,
            _ => found >= 100,
        };
        ensure!(fine, "{reset}: {found}");
    }
    Ok(())
}

/// The newest record of each key stays where it was; one without a value goes, in time, too.
pub(crate) async fn compaction_keeps_the_newest_of_each_key(log: Log) -> anyhow::Result<()> {
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("segment.ms", "500"),
        ("delete.retention.ms", "1000"),
    ];
    let topic = log.topic(1, &settings).await?;
    let producer = log.producer()?;
    for round in 0..20 {
        for key in ["a", "b", "c"] {
            let value = format!("{key}{round}");
            send(&producer, FutureRecord::to(&topic).key(key).payload(&value)).await?;
        }
    }
    // Offsets 60 and 61: b is no more, and then something that belongs to no one else.
    send(&producer, FutureRecord::<str, str>::to(&topic).key("b")).await?;
    send(&producer, FutureRecord::to(&topic).key("d").payload("d0")).await?;
    let text =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let until = Instant::now() + Duration::from_secs(60);
    let mut next = 62;
    loop {
        // The segment that is written is never compacted: something has to begin the next one.
        send(&producer, FutureRecord::to(&topic).key("roll").payload("x")).await?;
        next += 1;
        sleep(Duration::from_millis(600)).await;
        let (log, topic) = (log.clone(), topic.clone());
        let read = blocking(move || {
            let reader = log.reader()?;
            assign(&reader, &topic, &[(0, Offset::Beginning)])?;
            let mut read: Vec<(i64, _, _)> = Vec::new();
            while read.last().is_none_or(|(offset, ..)| *offset < next - 1) {
                let message = drain(&reader, 1)?.remove(0);
                read.push((
                    message.offset(),
                    text(message.key()),
                    text(message.payload()),
                ));
            }
            Ok(read)
        });
        let read = read.await?;
        ensure!(
            read.is_sorted_by(|a, b| a.0 < b.0),
            "out of order: {read:?}"
        );
        let newest: BTreeMap<_, _> = read
            .iter()
            .filter(|(_, key, _)| key.as_deref() != Some("roll"))
            .map(|(offset, key, value)| (key.clone(), (*offset, value.clone())))
            .collect();
        let wanted = |key: &str, offset: i64, value: &str| {
            let found = newest.get(&Some(key.to_owned()));
            found == Some(&(offset, Some(value.to_owned())))
        };
        ensure!(
            wanted("a", 57, "a19") && wanted("c", 59, "c19") && wanted("d", 61, "d0"),
            "a newest record is gone: {newest:?}"
        );
        let of_keys = read
            .iter()
            .filter(|(_, key, _)| key.as_deref() != Some("roll"));
        let b_is_gone = !newest.contains_key(&Some("b".to_owned()));
        if of_keys.count() == 3 && b_is_gone {
            return Ok(());
        }
        ensure!(Instant::now() < until, "after 60 s there is still {read:?}");
    }
}

/// Where a partition begins, once that is not 0 any more.
async fn start_moves(log: &Log, topic: &str, end: i64) -> anyhow::Result<i64> {
    let until = Instant::now() + WAIT;
    loop {
        let (start, found) = ends(log, topic).await?;
        ensure!(found == end, "the end is {found}, not {end}");
        if start > 0 {
            return Ok(start);
        }
        ensure!(Instant::now() < until, "nothing was deleted");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn ends(log: &Log, topic: &str) -> anyhow::Result<(i64, i64)> {
    let (reader, topic) = (log.reader()?, topic.to_owned());
    blocking(move || Ok(reader.fetch_watermarks(&topic, 0, WAIT)?)).await
}
