//! Puts load on any log that speaks Kafka and says how it did:
//! `cargo run --release -p compline-broker --example load -- HOST:PORT [MESSAGES]`.
//!
//! Six partitions, records of 300 bytes, idempotent, `acks=all`. Latency is from when a record was
//! due to when its acknowledgement came, so a stall is not hidden by what it holds up.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

const PARTITIONS: i32 = 6;
const RATE: u32 = 1_000;
const SECONDS: u32 = 10;
const PAYLOAD: [u8; 300] = [b'x'; 300];
const WAIT: Duration = Duration::from_secs(60);

/// Latencies in microseconds; failures are counted as `None`.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Option<u64>>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Self::DeliveryOpaque) {
        let latency = result
            .as_ref()
            .ok()
            .map(|_| due.elapsed().as_micros() as u64);
        if let Ok(mut deliveries) = self.0.lock() {
            deliveries.push(latency);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("which log, as HOST:PORT?")?;
    let messages = arguments
        .next()
        .map_or(Ok(500_000), |count| count.parse())?;
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &bootstrap)
        .set("broker.address.family", "v4");
    let name = format!("load-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    for kind in ["latency", "throughput"] {
        let topic = format!("{name}-{kind}");
        let topic = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(-1));
        admin.create_topics([&topic], &AdminOptions::new()).await?;
    }
    latency(&client, &format!("{name}-latency"))?;
    throughput(&client, &format!("{name}-throughput"), messages)
}

fn producer(
    client: &ClientConfig,
    linger: &str,
) -> Result<ThreadedProducer<Deliveries>, KafkaError> {
    let mut client = client.clone();
    client
        .set("enable.idempotence", "true")
        .set("linger.ms", linger);
    client
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(Deliveries::default())
}

fn send(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    number: u32,
    due: Instant,
) -> Result<(), KafkaError> {
    let partition = (number % PARTITIONS as u32) as i32;
    let record = BaseRecord::with_opaque_to(topic, Box::new(due));
    let mut record = record.key("key").payload(&PAYLOAD).partition(partition);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Waits for all deliveries and gives their latencies in order; an error if any failed.
fn finish(producer: &ThreadedProducer<Deliveries>) -> Result<Vec<u64>, Box<dyn Error>> {
    producer.flush(WAIT)?;
    let deliveries = producer
        .context()
        .0
        .lock()
        .map_err(|_| "a delivery panicked")?
        .split_off(0);
    let count = deliveries.len();
    let mut latencies: Vec<u64> = deliveries.into_iter().flatten().collect();
    if latencies.len() < count {
        return Err(format!(
            "{} of {count} records were not delivered",
            count - latencies.len()
        )
        .into());
    }
    latencies.sort_unstable();
    Ok(latencies)
}

fn latency(client: &ClientConfig, topic: &str) -> Result<(), Box<dyn Error>> {
    let producer = producer(client, "0")?;
    for number in 0..60 {
        send(&producer, topic, number, Instant::now())?;
        producer.flush(WAIT)?;
    }
    finish(&producer)?;
    let began = Instant::now();
    for number in 0..RATE * SECONDS {
        let due = began + Duration::from_secs(1) * number / RATE;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(Duration::from_micros(100)));
        }
        send(&producer, topic, number, due)?;
    }
    let latencies = finish(&producer)?;
    let at =
        |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    eprintln!(
        "{RATE}/s, linger 0: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

fn throughput(client: &ClientConfig, topic: &str, messages: u32) -> Result<(), Box<dyn Error>> {
    let producer = producer(client, "5")?;
    let began = Instant::now();
    for number in 0..messages {
        send(&producer, topic, number, began)?;
    }
    finish(&producer)?;
    eprintln!(
        "in:  {:.0} messages/s",
        f64::from(messages) / began.elapsed().as_secs_f64()
    );

    let consumer: BaseConsumer = client
        .clone()
        .set("group.id", "load")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let began = Instant::now();
    let mut read = 0;
    while read < messages {
        match consumer.poll(WAIT) {
            Some(Ok(_)) => read += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(format!("only {read} of {messages} records came").into()),
        }
    }
    eprintln!(
        "out: {:.0} messages/s",
        f64::from(read) / began.elapsed().as_secs_f64()
    );
    Ok(())
}
