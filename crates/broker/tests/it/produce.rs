use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use crate::client::{WAIT, send, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_keeps_keys_values_and_headers() {
    let street = start().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        street.topic(&topic, 3, &[]).await;
        let producer: FutureProducer = street
            .client()
            .set("compression.type", codec)
            .set("linger.ms", "20")
            .create()
            .unwrap();
        let value = |i: i32| format!("{i}-{}", "x".repeat(200));
        let sends = (0..300).map(|i| {
            let (producer, topic) = (producer.clone(), topic.clone());
            tokio::spawn(async move {
                let headers = OwnedHeaders::new()
                    .insert(Header {
                        key: "text",
                        value: Some("v"),
                    })
                    .insert(Header {
                        key: "bytes",
                        value: Some(&[0u8, 255][..]),
                    })
                    .insert(Header::<&str> {
                        key: "null",
                        value: None,
                    });
                let (key, value) = (format!("k{i}"), value(i));
                let record = FutureRecord::to(&topic)
                    .partition(i % 3)
                    .key(&key)
                    .payload(&value)
                    .headers(headers);
                producer.send(record, WAIT).await.unwrap();
            })
        });
        for sent in sends.collect::<Vec<_>>() {
            sent.await.unwrap();
        }
        let mut read = street.read_all(&topic, 300).await;
        read.sort_by_key(|message| {
            message.key_view::<str>().unwrap().unwrap()[1..]
                .parse::<i32>()
                .unwrap()
        });
        for (i, message) in (0..).zip(&read) {
            assert_eq!(
                message.payload_view::<str>().unwrap().unwrap(),
                value(i),
                "{codec}"
            );
            let headers = message.headers().unwrap();
            let list: Vec<_> = headers
                .iter()
                .map(|header| (header.key, header.value))
                .collect();
            assert_eq!(
                list,
                [
                    ("text", Some(&b"v"[..])),
                    ("bytes", Some(&[0, 255][..])),
                    ("null", None)
                ]
            );
        }
    }
    street.broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledgement_level_is_answered_in_order() {
    let street = start().await;
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        street.topic(&topic, 1, &[]).await;
        let producer: FutureProducer = street.client().set("acks", acks).create().unwrap();
        for i in 0..50 {
            let (_, offset) = send(&producer, &topic, 0, "k", &i.to_string()).await;
            assert!(acks == "0" || offset == i, "{acks}: {offset}");
        }
        let read = street.read_all(&topic, 50).await;
        let values: Vec<_> = read
            .iter()
            .map(|message| message.payload_view::<str>().unwrap().unwrap())
            .collect();
        assert_eq!(values, (0..50).map(|i| i.to_string()).collect::<Vec<_>>());
    }
    let stats = street.broker.monitor().stats();
    assert_eq!(stats.records_appended, 150);
    assert!(stats.syncs.count > 0 && stats.requests > 0 && stats.bytes_in > 0);
    assert_eq!(
        stats
            .topics
            .iter()
            .map(|topic| topic.partitions[0].high_watermark)
            .sum::<i64>(),
        150
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_record_is_the_topics_to_say() {
    let street = start().await;
    street
        .topic("small", 1, &[("max.message.bytes", "2000")])
        .await;
    street
        .topic("large", 1, &[("max.message.bytes", "8000000")])
        .await;
    let producer: FutureProducer = street
        .client()
        .set("message.max.bytes", "7000000")
        .create()
        .unwrap();
    let big = "z".repeat(6_000_000);
    let record = FutureRecord::<str, str>::to("small").payload(&big);
    let (error, _) = producer.send(record, WAIT).await.unwrap_err();
    assert!(
        matches!(
            error,
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)
        ),
        "{error}"
    );
    let record = FutureRecord::<str, str>::to("large").payload(&big);
    producer.send(record, WAIT).await.unwrap();
    // Larger than the consumer's fetch: it is given all the same.
    let read = street.read_all("large", 1).await;
    assert_eq!(read[0].payload().unwrap().len(), big.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_refused_at_once() {
    let street = start().await;
    let producer: FutureProducer = street
        .client()
        .set("transactional.id", "t")
        .create()
        .unwrap();
    let began = std::time::Instant::now();
    let refused = tokio::task::spawn_blocking(move || producer.init_transactions(WAIT))
        .await
        .unwrap();
    assert!(refused.is_err());
    assert!(
        began.elapsed() < WAIT / 2,
        "it was not tried until time was up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topics_are_made_only_where_that_is_wanted() {
    let street = start().await;
    let producer: FutureProducer = street
        .client()
        .set("message.timeout.ms", "3000")
        .create()
        .unwrap();
    let record = FutureRecord::<str, str>::to("nowhere").payload("x");
    assert!(producer.send(record, WAIT).await.is_err());
    let street = start_with(|config| config.auto_create_topics = true).await;
    let (_, offset) = send(&street.producer(), "somewhere", 0, "k", "v").await;
    assert_eq!(offset, 0);
}
