//! Consumer groups.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::FutureRecord;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::task::JoinHandle;

use crate::Log;
use crate::kit::{WAIT, blocking, name, options, send};

pub(crate) async fn committed_offsets_are_kept_and_deleted_with_their_group(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let group = name("group");
    let consumer = |group: &str| -> anyhow::Result<BaseConsumer> {
        Ok(log
            .client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()?)
    };
    let (first, name) = (consumer(&group)?, topic.clone());
    blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, Offset::Offset(7))?;
        let mut element = list
            .find_partition(&name, 0)
            .context("what was just added")?;
        element.set_metadata("a note");
        Ok(first.commit(&list, CommitMode::Sync)?)
    })
    .await?;
    let committed = |consumer: BaseConsumer, topic: String| {
        blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, 0);
            let found = consumer.committed_offsets(list, WAIT)?;
            let found = &found.elements()[0];
            Ok((found.offset(), found.metadata().to_owned()))
        })
    };
    let found = committed(consumer(&group)?, topic.clone()).await?;
    ensure!(
        found == (Offset::Offset(7), "a note".to_owned()),
        "{found:?}"
    );
    let deleted = log.admin()?.delete_groups(&[&group], &options()).await?;
    ensure!(deleted.iter().all(|result| result.is_ok()), "{deleted:?}");
    let (offset, _) = committed(consumer(&group)?, topic).await?;
    ensure!(
        offset == Offset::Invalid,
        "{offset:?} after the group was deleted"
    );
    Ok(())
}

type Seen = Arc<Mutex<BTreeMap<(i32, i64), u32>>>;

const PARTITIONS: i32 = 4;
const RECORDS: i32 = 400;

/// A second member comes, the first one leaves; each record is read once.
pub(crate) async fn members_share_partitions_and_take_over(log: Log) -> anyhow::Result<()> {
    for strategy in ["range", "cooperative-sticky"] {
        let topic = log.topic(PARTITIONS, &[]).await?;
        let producer = log.producer()?;
        let mut client = log.client();
        client
            .set("group.id", name("group"))
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "200")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "300")
            .set("partition.assignment.strategy", strategy);
        let seen = Seen::default();
        let mut first = Some(Member::join(&client, &topic, &seen));
        let mut second = None;
        for i in 0..RECORDS {
            let record = FutureRecord::to(&topic)
                .partition(i % PARTITIONS)
                .key("k")
                .payload("v");
            send(&producer, record).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            if i == RECORDS / 3 {
                second = Some(Member::join(&client, &topic, &seen));
            }
            if i == RECORDS * 2 / 3
                && let Some(first) = first.take()
            {
                first.leave().await?;
            }
        }
        let until = Instant::now() + WAIT;
        while seen.lock().is_ok_and(|seen| seen.len() < RECORDS as usize) && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Some(second) = second {
            second.leave().await?;
        }
        let Ok(seen) = seen.lock() else {
            bail!("a member panicked")
        };
        let twice = seen.values().filter(|times| **times > 1).count();
        ensure!(
            (seen.len(), twice) == (RECORDS as usize, 0),
            "{strategy}: {} seen, {twice} twice",
            seen.len()
        );
    }
    Ok(())
}

/// Reads and commits until it leaves the group, at the latest when it is dropped.
struct Member {
    reading: Option<JoinHandle<anyhow::Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Member {
    fn join(client: &ClientConfig, topic: &str, seen: &Seen) -> Member {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, topic, seen, told) =
            (client.clone(), topic.to_owned(), seen.clone(), stop.clone());
        let reading = tokio::spawn(blocking(move || {
            let consumer: BaseConsumer = client.create()?;
            consumer.subscribe(&[&topic])?;
            while !told.load(Ordering::Relaxed) {
                let Some(polled) = consumer.poll(Duration::from_millis(50)) else {
                    continue;
                };
                let message = polled?;
                let Ok(mut seen) = seen.lock() else {
                    bail!("another member panicked")
                };
                *seen
                    .entry((message.partition(), message.offset()))
                    .or_default() += 1;
            }
            Ok(())
        }));
        Member {
            reading: Some(reading),
            stop,
        }
    }

    async fn leave(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.reading.take() {
            Some(reading) => reading.await?,
            None => Ok(()),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
