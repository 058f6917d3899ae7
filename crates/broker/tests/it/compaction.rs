//! Compaction as rdkafka sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::admin::{AlterConfig, ResourceSpecifier};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Street, WAIT, admin, consumer, drain, options, send, start_with};

const EAGER: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0"),
    ("segment.bytes", "4000"),
    ("delete.retention.ms", "0"),
];

async fn eager() -> Street {
    start_with(|config| config.compaction_interval = Duration::from_millis(50)).await
}

/// 200 batches over ten keys: what the last record of each key says.
async fn fill(street: &Street, topic: &str, codec: &str) -> BTreeMap<String, (i64, String)> {
    let producer: FutureProducer = street
        .client()
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("compression.type", codec)
        .create()
        .unwrap();
    let mut newest = BTreeMap::new();
    for i in 0..200 {
        let (key, value) = (format!("k{}", i % 10), format!("{i}-{}", "x".repeat(200)));
        let (_, offset) = send(&producer, topic, 0, &key, &value).await;
        newest.insert(key, (offset, value));
    }
    newest
}

/// Reads a partition from an offset to its end, which the last record tells.
async fn read_from(street: &Street, topic: &str, from: Offset, last: i64) -> Vec<OwnedMessage> {
    let (mut client, topic) = (street.client(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, from).unwrap();
        rdkafka::consumer::Consumer::assign(&consumer, &list).unwrap();
        let mut read: Vec<OwnedMessage> = Vec::new();
        while read.last().is_none_or(|message| message.offset() < last) {
            read.extend(drain(&consumer, 1));
        }
        read
    });
    reading.await.unwrap()
}

async fn until_few(street: &Street, topic: &str, last: i64) -> Vec<OwnedMessage> {
    let until = Instant::now() + WAIT;
    loop {
        let read = read_from(street, topic, Offset::Beginning, last).await;
        // Ten keys, and the segment that is written, in which records that are packed are small.
        if read.len() < 80 {
            return read;
        }
        assert!(Instant::now() < until, "{} records are left", read.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_across_the_holes_of_every_codec() {
    let street = eager().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        street.topic(codec, 1, &EAGER).await;
        let newest = fill(&street, codec, codec).await;
        let last = newest.values().map(|(offset, _)| *offset).max().unwrap();
        assert_eq!(last, 199);
        let read = until_few(&street, codec, last).await;
        let mut seen = BTreeMap::new();
        for message in &read {
            let key = message.key_view::<str>().unwrap().unwrap().to_owned();
            let value = message.payload_view::<str>().unwrap().unwrap().to_owned();
            seen.insert(key, (message.offset(), value));
        }
        assert_eq!(seen, newest, "{codec}");
        // From the middle of a hole the next record there is comes.
        let offsets: Vec<_> = read.iter().map(|message| message.offset()).collect();
        assert!(offsets.is_sorted() && offsets[0] > 0);
        for from in [1, 57, 120] {
            let found = read_from(&street, codec, Offset::Offset(from), last).await;
            let next = offsets.iter().find(|offset| **offset >= from);
            assert_eq!(Some(&found[0].offset()), next, "{codec} from {from}");
        }
        let partition = &street.broker.monitor().stats().topics;
        let partition = partition.iter().find(|topic| topic.name == codec).unwrap();
        assert_eq!(partition.partitions[0].start_offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_becomes_compacted_and_is_so_no_more() {
    let street = eager().await;
    street.topic("t", 1, &[("segment.bytes", "4000")]).await;
    let admin = admin(&street.broker.bootstrap());
    let keyless = || async {
        let record: FutureRecord<'_, str, str> = FutureRecord::to("t").partition(0).payload("v");
        let sent = street.producer().send(record, WAIT).await;
        sent.map_err(|(error, _)| error)
    };
    keyless().await.unwrap();
    let configure = |policy: &'static str| {
        let change = AlterConfig::new(ResourceSpecifier::Topic("t"))
            .set("segment.bytes", "4000")
            .set("min.cleanable.dirty.ratio", "0")
            .set("cleanup.policy", policy);
        let (admin, options) = (&admin, options());
        async move {
            admin
                .alter_configs([&change], &options)
                .await
                .unwrap()
                .remove(0)
        }
    };
    configure("compact").await.unwrap();
    let refused = keyless().await.unwrap_err();
    let invalid = KafkaError::MessageProduction(RDKafkaErrorCode::InvalidRecord);
    assert_eq!(refused, invalid);
    let newest = fill(&street, "t", "none").await;
    let last = newest.values().map(|(offset, _)| *offset).max().unwrap();
    // The record without a key is from before, and goes.
    let read = until_few(&street, "t", last).await;
    assert!(read.iter().all(|message| message.key().is_some()));

    configure("delete").await.unwrap();
    keyless().await.unwrap();
    fill(&street, "t", "none").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = read_from(&street, "t", Offset::Beginning, last + 201).await;
    assert!(read.len() > 200);
}
