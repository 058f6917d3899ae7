//! Records in and out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, Timestamp};

use crate::Log;
use crate::kit::{WAIT, assign, blocking, drain, send};

const SOME_DAY: i64 = 1_700_000_000_000;

pub(crate) async fn every_codec_keeps_keys_values_headers_and_timestamps(
    log: Log,
) -> anyhow::Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = log.topic(1, &[("retention.ms", "-1")]).await?;
        let producer: FutureProducer = log
            .client()
            .set("compression.type", codec)
            .set("linger.ms", "20")
            .create()?;
        let value = |i: i64| format!("{i} {}", "x".repeat(300));
        let mut sent = Vec::new();
        for i in 0..100 {
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
                .key(&key)
                .payload(&value)
                .timestamp(SOME_DAY + i);
            let record = record.headers(headers);
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for delivery in sent {
            delivery.await?.map_err(|(error, _)| error)?;
        }
        for (i, message) in (0..).zip(log.read(&topic, 100).await?) {
            let headers = message.headers().context("headers")?;
            let headers: Vec<_> = headers
                .iter()
                .map(|header| (header.key, header.value))
                .collect();
            let wanted = [
                ("text", Some(&b"v"[..])),
                ("bytes", Some(&[0, 255][..])),
                ("null", None),
            ];
            ensure!(
                message.key() == Some(format!("k{i}").as_bytes()),
                "{codec}: key {i}"
            );
            ensure!(
                message.payload() == Some(value(i).as_bytes()),
                "{codec}: value {i}"
            );
            ensure!(headers == wanted, "{codec}: headers {i}: {headers:?}");
            let timestamp = message.timestamp();
            ensure!(
                timestamp == Timestamp::CreateTime(SOME_DAY + i),
                "{codec}: {timestamp:?}"
            );
        }
    }
    Ok(())
}

pub(crate) async fn offsets_have_no_holes_and_keep_the_order_of_each_partition(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(3, &[]).await?;
    let producer = log.producer()?;
    let mut sent = Vec::new();
    for i in 0..3_000 {
        let value = i.to_string();
        let record = FutureRecord::<str, str>::to(&topic)
            .partition(i % 3)
            .payload(&value);
        sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for delivery in sent {
        delivery.await?.map_err(|(error, _)| error)?;
    }
    let mut next: HashMap<i32, (i64, i32)> = (0..3).map(|part| (part, (0, part))).collect();
    for message in log.read(&topic, 3_000).await? {
        let (offset, value) = next
            .get_mut(&message.partition())
            .context("a known partition")?;
        let found = std::str::from_utf8(message.payload().context("a value")?)?;
        ensure!(
            message.offset() == *offset,
            "offset {} after {offset}",
            message.offset()
        );
        ensure!(found == value.to_string(), "{found} in place of {value}");
        (*offset, *value) = (*offset + 1, *value + 3);
    }
    Ok(())
}

pub(crate) async fn an_idempotent_producer_writes_each_record_once(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    for _ in 0..3 {
        let producer = log.producer()?;
        for i in 0..20 {
            send(
                &producer,
                FutureRecord::to(&topic).key("k").payload(&i.to_string()),
            )
            .await?;
        }
    }
    let reader = log.reader()?;
    let name = topic.clone();
    let ends = blocking(move || {
        Ok(rdkafka::consumer::Consumer::fetch_watermarks(
            &reader, &name, 0, WAIT,
        )?)
    });
    ensure!(ends.await? == (0, 60));
    Ok(())
}

pub(crate) async fn null_and_empty_keys_and_values_are_told_apart(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    send(&producer, FutureRecord::to(&topic)).await?;
    send(&producer, FutureRecord::to(&topic).key("").payload("")).await?;
    send(&producer, FutureRecord::to(&topic).key("k")).await?;
    let read = log.read(&topic, 3).await?;
    let found: Vec<_> = read
        .iter()
        .map(|message| (message.key(), message.payload()))
        .collect();
    let empty = Some(&b""[..]);
    ensure!(
        found == [(None, None), (empty, empty), (Some(&b"k"[..]), None)],
        "{found:?}"
    );
    Ok(())
}

pub(crate) async fn a_record_that_is_too_large_is_refused_and_the_next_is_taken(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[("max.message.bytes", "20000")]).await?;
    let producer: FutureProducer = log.client().set("linger.ms", "0").create()?;
    let large = "z".repeat(100_000);
    let refused = producer
        .send(FutureRecord::<str, str>::to(&topic).payload(&large), WAIT)
        .await;
    match refused {
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {}
        other => bail!("{other:?}"),
    }
    let offset = send(&producer, FutureRecord::to(&topic).payload("small")).await?;
    ensure!(offset == 0, "offset {offset}");
    Ok(())
}

/// KIP-74: otherwise no reader would ever come past it.
pub(crate) async fn a_record_larger_than_what_a_fetch_asks_for_is_given_whole(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    let large = "z".repeat(500_000);
    send(&producer, FutureRecord::to(&topic).payload("small")).await?;
    send(&producer, FutureRecord::to(&topic).payload(&large)).await?;
    let reader: rdkafka::consumer::BaseConsumer = log
        .client()
        .set("group.id", "large")
        .set("enable.auto.commit", "false")
        .set("max.partition.fetch.bytes", "1000")
        .set("fetch.max.bytes", "1000")
        .set("message.max.bytes", "1000")
        .create()?;
    let read = blocking(move || {
        assign(&reader, &topic, &[(0, Offset::Beginning)])?;
        drain(&reader, 2)
    });
    let read = read.await?;
    let sizes: Vec<_> = read
        .iter()
        .map(|message| message.payload().map_or(0, <[u8]>::len))
        .collect();
    ensure!(sizes == [5, 500_000], "{sizes:?}");
    Ok(())
}

pub(crate) async fn a_consumer_starts_in_the_middle_of_a_batch(log: Log) -> anyhow::Result<()> {
    for codec in ["none", "lz4"] {
        let topic = log.topic(1, &[]).await?;
        let producer: FutureProducer = log
            .client()
            .set("linger.ms", "100")
            .set("compression.type", codec)
            .create()?;
        let mut sent = Vec::new();
        for i in 0..50 {
            let value = i.to_string();
            let record = FutureRecord::<str, str>::to(&topic).payload(&value);
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for delivery in sent {
            delivery.await?.map_err(|(error, _)| error)?;
        }
        let reader = log.reader()?;
        let read = blocking(move || {
            assign(&reader, &topic, &[(0, Offset::Offset(33))])?;
            drain(&reader, 17)
        });
        let read = read.await?;
        let offsets: Vec<_> = read.iter().map(|message| message.offset()).collect();
        ensure!(
            offsets == (33..50).collect::<Vec<_>>(),
            "{codec}: {offsets:?}"
        );
    }
    Ok(())
}

pub(crate) async fn an_offset_out_of_range_is_an_error(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    send(&log.producer()?, FutureRecord::to(&topic).payload("x")).await?;
    let reader = log.reader()?;
    blocking(move || {
        assign(&reader, &topic, &[(0, Offset::Offset(100))])?;
        let until = Instant::now() + WAIT;
        while Instant::now() < until {
            match reader.poll(Duration::from_millis(100)) {
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                    return Ok(());
                }
                Some(other) => bail!("{other:?}"),
                None => {}
            }
        }
        bail!("nothing was said")
    })
    .await
}

pub(crate) async fn a_waiting_consumer_is_woken_at_once(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let producer = log.producer()?;
    send(&producer, FutureRecord::to(&topic).payload("first")).await?;
    let reader: rdkafka::consumer::BaseConsumer = log
        .client()
        .set("group.id", "waiting")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10000")
        .create()?;
    let name = topic.clone();
    let (told, waiting) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(blocking(move || {
        assign(&reader, &name, &[(0, Offset::Beginning)])?;
        drain(&reader, 1)?;
        let _ = told.send(());
        drain(&reader, 1)?;
        Ok(Instant::now())
    }));
    waiting.await?;
    // The consumer has asked again by then, and waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&producer, FutureRecord::to(&topic).payload("second")).await?;
    let sent = Instant::now();
    let late = reading.await??.saturating_duration_since(sent);
    ensure!(
        late < Duration::from_secs(3),
        "{late:?} after it was acknowledged"
    );
    Ok(())
}
