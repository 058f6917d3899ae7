//! Load on any log that speaks Kafka, by rdkafka: in, out, acknowledged, end to end.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Task;
use crate::measure::{Latencies, Summary};

pub(crate) const PARTITIONS: u8 = 6;
pub(crate) const RECORD_BYTES: usize = 300;
/// How often everything is read back.
const READS: u32 = 3;
const WAIT: Duration = Duration::from_secs(60);

/// A round on a topic of its own, which is deleted afterwards.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogLoad {
    /// `host:port`.
    pub(crate) bootstrap: String,
    /// Records to write as fast as they are taken, and to read back.
    pub(crate) records: u32,
    /// Records that are due one by one.
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogLoaded {
    pub(crate) in_per_second: f64,
    pub(crate) out_per_second: f64,
    /// From when a record was due until it was acknowledged.
    pub(crate) acknowledged: Summary,
    /// From when a record was due until a reader had it.
    pub(crate) read: Summary,
}

impl Task for LogLoad {
    type Answer = LogLoaded;
}

impl LogLoad {
    pub(super) async fn run(self) -> Result<LogLoaded> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("broker.address.family", "v4");
        let admin: AdminClient<DefaultClientContext> = client.create()?;
        let topic = format!("bench-{}", Uuid::new_v4().simple());
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        let new = NewTopic::new(&topic, i32::from(PARTITIONS), TopicReplication::Fixed(-1));
        for made in admin.create_topics([&new], &options).await? {
            made.map_err(|(_, code)| code)?;
        }
        let in_per_second = self.write(&client, &topic).await?;
        let out_per_second = self.read(&client, &topic)?;
        let (acknowledged, read) = self.pace(&client, &topic).await?;
        admin.delete_topics(&[&topic], &options).await?;
        Ok(LogLoaded {
            in_per_second,
            out_per_second,
            acknowledged,
            read,
        })
    }

    async fn write(&self, client: &ClientConfig, topic: &str) -> Result<f64> {
        let producer = producer(client, "5")?;
        let payload = [b'x'; RECORD_BYTES];
        connect(&producer, topic)?;
        let began = Instant::now();
        for number in 0..self.records {
            while !offer(&producer, topic, u64::from(number), &payload, began)? {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        settle(&producer, self.records as usize)?;
        Ok(f64::from(self.records) / began.elapsed().as_secs_f64())
    }

    fn read(&self, client: &ClientConfig, topic: &str) -> Result<f64> {
        let mut reading = Duration::ZERO;
        for _ in 0..READS {
            let consumer = reader(client, topic, |_| Ok(Offset::Beginning))?;
            // What a client does before its first fetch is the client's.
            consumer.poll(WAIT).context("nothing came")??;
            let began = Instant::now();
            expect(&consumer, self.records - 1)?;
            reading += began.elapsed();
        }
        Ok(f64::from(READS * self.records) / reading.as_secs_f64())
    }

    /// Each record carries its number; who reads it looks up when it was due.
    async fn pace(&self, client: &ClientConfig, topic: &str) -> Result<(Summary, Summary)> {
        let producer = producer(client, "0")?;
        connect(&producer, topic)?;
        let ends: BaseConsumer = client.create()?;
        let consumer = reader(client, topic, |partition| {
            Ok(Offset::Offset(
                ends.fetch_watermarks(topic, partition, WAIT)?.1,
            ))
        })?;
        // Its fetches are under way when it has read of every partition.
        connect(&producer, topic)?;
        expect(&consumer, u32::from(PARTITIONS))?;
        let interval = Duration::from_secs(1) / self.per_second;
        let expected = u64::from(self.per_second) * self.length.as_secs();
        let first = Instant::now() + Duration::from_millis(10);
        let reading =
            tokio::task::spawn_blocking(move || arrivals(&consumer, expected, first, interval));
        let mut payload = [b'x'; RECORD_BYTES];
        for number in 0..expected {
            let due = first + interval * u32::try_from(number)?;
            // The runtime's timer has whole milliseconds, which is more than an acknowledgement takes.
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(left.min(Duration::from_micros(100)));
            }
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let taken = offer(&producer, topic, number, &payload, due)?;
            ensure!(taken, "the producer's queue is full");
        }
        let acknowledged = settle(&producer, usize::try_from(expected)?)?;
        Ok((acknowledged.summary(), reading.await??.summary()))
    }
}

/// When each of the paced records reached a reader, counted from when it was due.
fn arrivals(
    consumer: &BaseConsumer,
    expected: u64,
    first: Instant,
    interval: Duration,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    for read in 0..expected {
        let record = consumer.poll(WAIT);
        let record = record.with_context(|| format!("only {read} of {expected} came"))??;
        let number = record.payload().and_then(|payload| payload.first_chunk());
        let number = u64::from_be_bytes(*number.context("a record without its number")?);
        latencies.add((first + interval * u32::try_from(number)?).elapsed());
    }
    Ok(latencies)
}

/// What became of the records: how long each took, or that it failed.
#[derive(Default)]
struct Deliveries(Mutex<Vec<Result<Duration, KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Self::DeliveryOpaque) {
        let took = result
            .as_ref()
            .map(|_| due.elapsed())
            .map_err(|(error, _)| error.clone());
        self.0.lock().expect("no holder panics").push(took);
    }
}

fn producer(client: &ClientConfig, linger_ms: &str) -> Result<ThreadedProducer<Deliveries>> {
    let mut client = client.clone();
    client
        .set("enable.idempotence", "true")
        .set("linger.ms", linger_ms)
        .set("queue.buffering.max.messages", "500000");
    Ok(client.create_with_context(Deliveries::default())?)
}

/// Opens what a first record to each partition opens.
fn connect(producer: &ThreadedProducer<Deliveries>, topic: &str) -> Result<()> {
    for number in 0..u64::from(PARTITIONS) {
        offer(
            producer,
            topic,
            number,
            &[b'c'; RECORD_BYTES],
            Instant::now(),
        )?;
    }
    settle(producer, usize::from(PARTITIONS))?;
    Ok(())
}

/// Whether the producer took it; it does not while its queue is full.
fn offer(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    number: u64,
    payload: &[u8],
    due: Instant,
) -> Result<bool> {
    let partition = i32::try_from(number % u64::from(PARTITIONS))?;
    let record = BaseRecord::with_opaque_to(topic, Box::new(due));
    match producer.send(record.key("key").payload(payload).partition(partition)) {
        Ok(()) => Ok(true),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
        Err((error, _)) => bail!(error),
    }
}

/// Waits until all `expected` records since the last call are acknowledged.
fn settle(producer: &ThreadedProducer<Deliveries>, expected: usize) -> Result<Latencies> {
    producer.flush(WAIT)?;
    let deliveries = std::mem::take(&mut *producer.context().0.lock().expect("no holder panics"));
    ensure!(
        deliveries.len() == expected,
        "{} of {expected} records were told of",
        deliveries.len()
    );
    let mut latencies = Latencies::default();
    for took in deliveries {
        latencies.add(took?);
    }
    Ok(latencies)
}

fn expect(consumer: &BaseConsumer, records: u32) -> Result<()> {
    for read in 0..records {
        let record = consumer.poll(WAIT);
        record.with_context(|| format!("only {read} of {records} records came"))??;
    }
    Ok(())
}

fn reader(
    client: &ClientConfig,
    topic: &str,
    from: impl Fn(i32) -> Result<Offset>,
) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "500")
        // Whoever is read from faster than the records are taken would otherwise rest for a second
        // whenever 100,000 are queued, and lose to a slower one.
        .set("fetch.queue.backoff.ms", "1")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::from(PARTITIONS) {
        list.add_partition_offset(topic, partition, from(partition)?)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}
