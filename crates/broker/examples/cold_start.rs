//! How long a broker takes to open a large log, after a stop in order and after `kill -9`:
//! `cargo run --release -p compline-broker --example cold_start -- DIR [GIB]`.
//!
//! Twelve partitions, segments of 64 MiB, records of 1 kB. DIR is made, filled by a broker in a
//! process of its own, and not removed. Page cache and sums are as they come: to measure a cold
//! disk, drop the cache between the runs (`--open-only`).

// It is what one runs it for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use compline_broker::{Broker, BrokerConfig, SyncMode};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

const PARTITIONS: i32 = 12;
const RECORD: usize = 1_000;
const GIB: f64 = (1u64 << 30) as f64;
/// So much in all leaves every partition of a new log with a segment that is not full yet.
const NEARLY_FULL: f64 = 0.7;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    match arguments.next().as_deref() {
        Some("--fill") => fill(&folder, arguments.next().ok_or("how much?")?.parse()?).await,
        Some("--open-only") => open(&folder, "as it was left").await,
        size => {
            let gib: f64 = size.map_or(Ok(10.0), str::parse)?;
            run_filler(&folder, gib, false)?;
            open(&folder, "stopped in order").await?;
            // In a topic of its own: twelve more segments, which are all read again.
            run_filler(&folder, NEARLY_FULL, true)?;
            open(&folder, "killed").await
        }
    }
}

/// Fills a log in another process, which is stopped or killed behind its last record.
fn run_filler(folder: &str, gib: f64, kill: bool) -> Result<(), Box<dyn Error>> {
    let mut filler = Command::new(std::env::current_exe()?)
        .args([folder, "--fill", &gib.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let mut out = std::io::BufReader::new(filler.stdout.take().ok_or("no output")?);
    std::io::BufRead::read_line(&mut out, &mut said)?;
    if kill {
        filler.kill()?;
    }
    drop(filler.stdin.take());
    filler.wait()?;
    Ok(())
}

async fn fill(folder: &str, gib: f64) -> Result<(), Box<dyn Error>> {
    let broker = Broker::open(config(folder)).await?.start();
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", broker.bootstrap())
        .set("broker.address.family", "v4")
        .set("queue.buffering.max.messages", "100000")
        .set("enable.idempotence", "true")
        .set("linger.ms", "20");
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let name = format!("cold-{gib}");
    let topic = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
    admin.create_topics([&topic], &AdminOptions::new()).await?;
    let producer: ThreadedProducer<DefaultProducerContext> = client.create()?;
    let payload = [b'x'; RECORD];
    for number in 0..(gib * GIB) as u64 / RECORD as u64 {
        let key = number.to_be_bytes();
        let record = BaseRecord::to(&name).key(&key[..]).payload(&payload[..]);
        let mut record = record.partition((number % PARTITIONS as u64) as i32);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = back;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    producer.flush(Duration::from_secs(600))?;
    println!("filled");
    // Closed by who started this.
    let waiting = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    waiting.await??;
    broker.stop().await?;
    Ok(())
}

async fn open(folder: &str, how: &str) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let broker = Broker::open(config(folder)).await?;
    let took = began.elapsed();
    let stats = broker.monitor().stats();
    let partitions = || stats.topics.iter().flat_map(|topic| &topic.partitions);
    let gib = partitions().map(|part| part.bytes).sum::<u64>() as f64 / GIB;
    let segments: usize = partitions().map(|part| part.segments).sum();
    println!("{how}: {gib:.1} GiB in {segments} segments open after {took:?}");
    Ok(())
}

fn config(folder: &str) -> BrokerConfig {
    let mut config = BrokerConfig::new(folder);
    config.bind.set_port(0);
    config.sync = SyncMode::Relaxed;
    config
}
