//! kill -9 in the middle of load, then everything acknowledged is looked for.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compline_broker::{Broker, BrokerConfig};
use rdkafka::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::client::{client, create, read_all};

const FOLDER: &str = "BROKER_TEST_FOLDER";
const PORT: &str = "BROKER_TEST_PORT";
const PARTITIONS: i32 = 6;
const KILLS: u32 = 4;

/// Not a test: the process that is killed. The other tests start it by its name.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a helper of the crash test"]
async fn broker_process() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let mut config = BrokerConfig::new(folder);
    config
        .bind
        .set_port(std::env::var(PORT).unwrap().parse().unwrap());
    // Rolls are where it hurts.
    config.topics.segment_bytes = 300_000;
    let broker = Broker::open(config).await.unwrap();
    println!("ready on {}", broker.local_addr().port());
    broker.run(std::future::pending()).await.unwrap();
}

struct Process(Child);

impl Process {
    /// Starts a broker on a port, 0 for any, and gives the port.
    fn start(folder: &std::path::Path, port: u16) -> (Process, u16) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::broker_process",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, folder)
            .env(PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("ready on ")?;
            port.trim().parse().ok()
        });
        (
            Process(child),
            port.expect("the broker process says its port"),
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: nothing is flushed, nothing is closed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_doubled_or_reordered_by_kill_9() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("log");
    let (mut process, port) = Process::start(&path, 0);
    let bootstrap = format!("127.0.0.1:{port}");
    create(&bootstrap, "load", PARTITIONS, &[]).await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..3)
        .map(|number| tokio::spawn(load(bootstrap.clone(), number, stop.clone())))
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(900 + u64::from(kill) * 250)).await;
        drop(process);
        process = Process::start(&path, port).0;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = HashMap::new();
    for producer in producers {
        acknowledged.extend(producer.await.unwrap());
    }

    let mut ends = 0;
    for partition in 0..PARTITIONS {
        let client = client(&bootstrap);
        ends += tokio::task::spawn_blocking(move || {
            let consumer: rdkafka::consumer::BaseConsumer = client.create().unwrap();
            let timeout = Duration::from_secs(10);
            rdkafka::consumer::Consumer::fetch_watermarks(&consumer, "load", partition, timeout)
                .unwrap()
                .1
        })
        .await
        .unwrap();
    }
    let client = client(&bootstrap);
    let read = tokio::task::spawn_blocking(move || read_all(client, "load", ends as usize))
        .await
        .unwrap();
    let mut found = HashMap::new();
    let mut last: HashMap<(i32, String), u64> = HashMap::new();
    for message in &read {
        let value = message
            .payload_view::<str>()
            .unwrap()
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let (producer, number) = value.split_once(':').unwrap();
        let newest = last.insert(
            (message.partition(), producer.to_owned()),
            number.parse().unwrap(),
        );
        assert!(
            newest.is_none_or(|newest| newest < number.parse().unwrap()),
            "reordered at {value}"
        );
        assert!(
            found
                .insert(value, (message.partition(), message.offset()))
                .is_none(),
            "doubled"
        );
    }
    assert!(
        acknowledged.len() > 1_000,
        "only {} were acknowledged",
        acknowledged.len()
    );
    for (value, at) in &acknowledged {
        assert_eq!(found.get(value), Some(at), "acknowledged {value} at {at:?}");
    }
}

/// Sends numbered records until told to stop; gives what was acknowledged, and where.
async fn load(bootstrap: String, number: u32, stop: Arc<AtomicBool>) -> Vec<(String, (i32, i64))> {
    let producer: FutureProducer = client(&bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "60000")
        .set("reconnect.backoff.max.ms", "200")
        .create()
        .unwrap();
    let mut sent = Vec::new();
    let mut acknowledged = Vec::new();
    for i in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{number}:{i} {}", "x".repeat(150));
        let record = FutureRecord::<str, str>::to("load")
            .partition((i % PARTITIONS as u64) as i32)
            .payload(&value);
        let delivery = producer
            .send_result(record)
            .map_err(|(error, _)| error)
            .unwrap();
        sent.push((format!("{number}:{i}"), delivery));
        if i % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for (value, delivery) in sent {
        let at = delivery.await.unwrap().expect("nothing is given up");
        acknowledged.push((value, (at.partition, at.offset)));
    }
    acknowledged
}
