use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::client::{WAIT, consumer, drain, send, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn offsets_by_time_and_reads_from_the_middle_of_a_batch() {
    let street = start().await;
    street.topic("times", 1, &[]).await;
    let producer: FutureProducer = street.client().set("linger.ms", "50").create().unwrap();
    let begin = 1_700_000_000_000;
    let sends: Vec<_> = (0..200)
        .map(|i| {
            let record = FutureRecord::<str, str>::to("times")
                .payload("x")
                .timestamp(begin + i * 1000);
            producer
                .send_result(record)
                .map_err(|(error, _)| error)
                .unwrap()
        })
        .collect();
    for sent in sends {
        sent.await.unwrap().unwrap();
    }
    let mut client = street.client();
    tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        for (time, wanted) in [
            (begin, Offset::Offset(0)),
            (begin - 5, Offset::Offset(0)),
            (begin + 10_500, Offset::Offset(11)),
            (begin + 150_000, Offset::Offset(150)),
            (begin + 999_000, Offset::End),
        ] {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset("times", 0, Offset::Offset(time))
                .unwrap();
            let found = consumer.offsets_for_times(list, WAIT).unwrap();
            assert_eq!(found.elements()[0].offset(), wanted, "at {time}");
        }
        assert_eq!(
            consumer.fetch_watermarks("times", 0, WAIT).unwrap(),
            (0, 200)
        );
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("times", 0, Offset::Offset(57))
            .unwrap();
        consumer.assign(&list).unwrap();
        let read = drain(&consumer, 143);
        assert_eq!((read[0].offset(), read[142].offset()), (57, 199));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_out_of_range_is_an_error_and_not_a_reset() {
    let street = start().await;
    street.topic("short", 1, &[]).await;
    send(&street.producer(), "short", 0, "k", "v").await;
    let mut client = street.client();
    let error = tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("short", 0, Offset::Offset(5))
            .unwrap();
        consumer.assign(&list).unwrap();
        let until = Instant::now() + WAIT;
        loop {
            assert!(Instant::now() < until);
            if let Some(polled) = consumer.poll(Duration::from_millis(100)) {
                return polled.map(|_| ()).unwrap_err();
            }
        }
    });
    let error = error.await.unwrap();
    assert!(
        matches!(
            error,
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_consumer_is_woken_at_once() {
    let street = start().await;
    street.topic("wake", 2, &[]).await;
    let producer = street.producer();
    send(&producer, "wake", 0, "k", "warm").await;
    let mut client = street.client();
    client.set("fetch.wait.max.ms", "10000");
    let reader = tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition_offset("wake", partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        drain(&consumer, 1);
        let waiting = Instant::now();
        drain(&consumer, 1);
        waiting.elapsed()
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    send(&producer, "wake", 1, "k", "now").await;
    let waited = reader.await.unwrap();
    assert!(
        waited < Duration::from_secs(8) && began.elapsed() < Duration::from_secs(5),
        "{waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_gets_its_partitions_at_once_and_goes_on_where_it_committed() {
    let street = start().await;
    street.topic("group", 3, &[]).await;
    let producer = street.producer();
    for i in 0..30 {
        send(&producer, "group", i % 3, "k", &i.to_string()).await;
    }
    let client = street.client();
    let took = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let consumer = subscribed(client.clone(), "g", "group");
        let first = drain(&consumer, 10);
        let took = began.elapsed();
        for message in &first {
            let mut list = TopicPartitionList::new();
            let next = Offset::Offset(message.offset() + 1);
            list.add_partition_offset("group", message.partition(), next)
                .unwrap();
            consumer.commit(&list, CommitMode::Sync).unwrap();
        }
        drop(consumer);
        let consumer = subscribed(client, "g", "group");
        let rest = drain(&consumer, 20);
        let all: BTreeSet<_> = first
            .iter()
            .chain(&rest)
            .map(|message| message.payload().unwrap().to_vec())
            .collect();
        assert_eq!(all.len(), 30);
        let partitions: BTreeSet<_> = first.iter().map(|message| message.partition()).collect();
        (took, partitions.len() as u64 * 10 - 10)
    });
    let (took, lag) = took.await.unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let stats = street.broker.monitor().stats();
    let group = stats.groups.iter().find(|group| group.name == "g").unwrap();
    assert_eq!(group.lag, lag);
}

fn subscribed(mut client: ClientConfig, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = client
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

type Seen = Arc<Mutex<BTreeMap<(i32, i64), u32>>>;

/// A member that reads until it is told to stop, and commits on its way.
fn member(
    client: ClientConfig,
    strategy: &str,
    seen: Seen,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let mut client = client;
    client
        .set("group.id", "pair")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "200")
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "200")
        .set("partition.assignment.strategy", strategy);
    std::thread::spawn(move || {
        let consumer: BaseConsumer = client.create().unwrap();
        consumer.subscribe(&["pairs"]).unwrap();
        while !stop.load(Ordering::Relaxed) {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                *seen
                    .lock()
                    .unwrap()
                    .entry((message.partition(), message.offset()))
                    .or_default() += 1;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_nothing_is_read_twice_or_missed() {
    for strategy in ["range", "cooperative-sticky"] {
        let street =
            start_with(|config| config.groups.min_session_timeout = Duration::from_secs(1)).await;
        street.topic("pairs", 6, &[]).await;
        let producer = street.producer();
        let seen = Seen::default();
        let stops = [
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        ];
        let first = member(street.client(), strategy, seen.clone(), stops[0].clone());
        let mut second = None;
        let mut first = Some(first);
        for i in 0..600 {
            send(&producer, "pairs", i % 6, "k", "v").await;
            tokio::time::sleep(Duration::from_millis(8)).await;
            if i == 200 {
                second = Some(member(
                    street.client(),
                    strategy,
                    seen.clone(),
                    stops[1].clone(),
                ));
            }
            if i == 400 {
                stops[0].store(true, Ordering::Relaxed);
                let first = first.take().unwrap();
                tokio::task::spawn_blocking(move || first.join().unwrap())
                    .await
                    .unwrap();
            }
        }
        let until = Instant::now() + WAIT;
        while seen.lock().unwrap().len() < 600 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stops[1].store(true, Ordering::Relaxed);
        let second = second.unwrap();
        tokio::task::spawn_blocking(move || second.join().unwrap())
            .await
            .unwrap();
        let seen = seen.lock().unwrap();
        let twice = seen.values().filter(|times| **times > 1).count();
        assert_eq!((seen.len(), twice), (600, 0), "{strategy}");
    }
}
