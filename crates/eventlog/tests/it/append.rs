//! What an append promises: on disk, in order, within bounds, or an error that
//! says what to do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use compline_event::{
    Event, Partition, RecordId, Stamp, Topic, partition::partition_of,
    webhook_events::WebhookReceived,
};
use compline_eventlog::{AppendError, AppenderConfig, TopicSpec};

use crate::street::{Street, all, event, event_of_today, key, numbers, soon, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_read_with_its_headers() {
    let street = Street::open().await;
    let appender = street.appender();
    let envelope = event(41);
    let at = appender
        .append(Topic::Ad, None, key(41), &envelope)
        .await
        .unwrap();
    assert_eq!(at.partition, partition_of(&key(41), 6));

    let record = soon(street.log.read_at(at)).await.unwrap().unwrap();
    assert_eq!(record.at, at);
    assert_eq!(record.event_id(), Some(envelope.event_id));
    assert_eq!(record.type_name(), Some("AdStatusChanged"));
    assert_eq!(record.version(), Some(1));
    assert_eq!(record.tenant(), Some(tenant()));
    let (producer, number) = ("ad".to_owned(), 42);
    assert_eq!(record.stamp(), Some(Stamp { producer, number }));
    assert_eq!(record.traceparent(), Some(envelope.traceparent.as_str()));
    assert_eq!(record.timestamp_ms, 1_703_500_800_041);
    let recorded = record.decode().unwrap();
    assert_eq!(recorded.key, key(41));
    assert_eq!(recorded.envelope, envelope);

    let behind = RecordId {
        offset: at.offset.next(),
        ..at
    };
    assert_eq!(soon(street.log.read_at(behind)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_encoded_before_are_appended_as_they_are() {
    let street = Street::open().await;
    let mut envelope = event(1);
    (envelope.tenant, envelope.stamp) = (None, None);
    envelope.traceparent = "\u{fc}".repeat(70);
    // A field that this build does not know, as a newer one would write it.
    let mut bytes = envelope.encode().to_vec();
    bytes.extend_from_slice(&[0xf8, 0x07, 0x01]);
    let bytes = Bytes::from(bytes);
    let delivery = street
        .appender()
        .enqueue_encoded(Topic::Ad, Some(Partition(4)), key(1), bytes.clone())
        .await
        .unwrap();
    let at = soon(delivery).await.unwrap();
    assert_eq!(at.partition, Partition(4));

    let record = soon(street.log.read_at(at)).await.unwrap().unwrap();
    assert_eq!(record.value, bytes);
    assert_eq!(record.event_id(), Some(envelope.event_id));
    let names: Vec<&str> = record.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["event-id", "type", "version"]);

    let nonsense = Bytes::from_static(b"\xff\xff");
    let refused = street
        .appender()
        .enqueue_encoded(Topic::Ad, None, key(1), nonsense)
        .await
        .unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_as_large_as_its_topic_says_and_no_larger() {
    let street = Street::open().await;
    let appender = street.appender();
    let limit = TopicSpec::of(Topic::WebhookMeta).max_record_bytes;
    let webhook = |bytes: usize| {
        let mut envelope = event(1);
        envelope.event = Event::WebhookReceived(WebhookReceived {
            body: vec![b'x'; bytes].into(),
            ..Default::default()
        });
        envelope
    };
    let key = Bytes::from_static(b"123456789");
    let around = webhook(limit).encode().len() + key.len() - limit;

    let largest = webhook(limit - around);
    let appended = appender.append(Topic::WebhookMeta, None, key.clone(), &largest);
    let at = soon(appended).await.unwrap();
    let record = soon(street.log.read_at(at)).await.unwrap().unwrap();
    assert_eq!(record.size(), limit);

    let larger = webhook(limit - around + 1);
    match appender
        .append(Topic::WebhookMeta, None, key, &larger)
        .await
    {
        Err(AppendError::TooLarge { size, .. }) => assert_eq!(size, limit + 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_the_log_does_not_answer_ends_in_time() {
    let mut street = Street::open().await;
    let timeout = Duration::from_millis(1500);
    let config = AppenderConfig {
        delivery_timeout: Some(timeout),
        ..AppenderConfig::default()
    };
    let appender = street.log.appender(config).unwrap();
    appender
        .append(Topic::Ad, None, key(1), &event(1))
        .await
        .unwrap();

    street.crash();
    let since = Instant::now();
    let error = soon(appender.append(Topic::Ad, None, key(2), &event(2)))
        .await
        .unwrap_err();
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error}");
    let waited = since.elapsed();
    assert!(waited >= timeout && waited < 3 * timeout, "{waited:?}");

    // It takes up its work again by itself.
    street.start_again().await;
    soon(appender.append(Topic::Ad, None, key(3), &event(3)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_the_caller_wait() {
    let mut street = Street::open().await;
    let config = AppenderConfig {
        max_queued_records: 3,
        ..AppenderConfig::without_timeout()
    };
    let appender = street.log.appender(config).unwrap();
    street.crash();
    let mut deliveries = Vec::new();
    for number in 0..3 {
        let event = event(number);
        let enqueued = appender.enqueue(Topic::Ad, Some(Partition(0)), key(number), &event);
        deliveries.push(soon(enqueued).await.unwrap());
    }
    let event = event(3);
    let fourth = appender.enqueue(Topic::Ad, Some(Partition(0)), key(3), &event);
    let mut fourth = std::pin::pin!(fourth);
    let waits = tokio::time::timeout(Duration::from_millis(300), &mut fourth).await;
    assert!(waits.is_err(), "the queue holds three");

    street.start_again().await;
    deliveries.push(soon(fourth).await.unwrap());
    for delivery in deliveries {
        soon(delivery).await.unwrap();
    }
    assert_eq!(numbers(&all(&street.log, Partition(0)).await), [0, 1, 2, 3]);
}

/// The log has lost what it acknowledged. To go on would be a hole that nobody
/// sees, so the appender fails; whoever is hit first is told so, as is everybody
/// after.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_hit_by_the_end_of_an_appender_is_told_so() {
    let mut street = Street::open().await;
    let appender = street
        .log
        .appender(AppenderConfig::without_timeout())
        .unwrap();
    let append = |number| {
        let appender = appender.clone();
        async move {
            let event = event_of_today(number);
            let appended = appender.append(Topic::Ad, Some(Partition(0)), key(number), &event);
            soon(appended).await
        }
    };
    append(1).await.unwrap();
    street.crash();
    let backup = street.backup();
    street.start_again().await;
    append(2).await.unwrap();
    street.crash();
    street.start_from(backup).await;
    for number in 3..5 {
        let error = append(number).await.unwrap_err();
        assert!(matches!(error, AppendError::Fatal { .. }), "{error}");
    }
}

/// Protocol §2: a relay's numbers have no holes, whatever happens to the broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_loses_and_reorders_nothing_while_the_broker_crashes() {
    const RECORDS: u64 = 20_000;
    let mut street = Street::open().await;
    let appender = street
        .log
        .appender(AppenderConfig {
            max_queued_records: 2000,
            ..AppenderConfig::without_timeout()
        })
        .unwrap();
    let relay = tokio::spawn(async move {
        let mut deliveries = Vec::new();
        for number in 0..RECORDS {
            let bytes = event_of_today(number).encode();
            let delivery = appender
                .enqueue_encoded(Topic::Ad, Some(Partition(2)), key(number), bytes)
                .await
                .unwrap();
            deliveries.push(delivery);
        }
        let mut offsets = Vec::new();
        for delivery in deliveries {
            offsets.push(delivery.await.unwrap().offset.0);
        }
        offsets
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        street.crash();
        tokio::time::sleep(Duration::from_millis(200)).await;
        street.start_again().await;
    }
    let acknowledged = soon(relay).await.unwrap();

    let records = all(&street.log, Partition(2)).await;
    let expected: Vec<u64> = (0..RECORDS).collect();
    let found = numbers(&records);
    let first = (0..).zip(&found).find(|(i, number)| i != *number);
    assert!(
        found == expected,
        "lost, doubled or out of order: {} of {RECORDS}, of which the first other one is {first:?}",
        found.len()
    );
    let stands_at: Vec<i64> = records.iter().map(|record| record.at.offset.0).collect();
    assert!(acknowledged == stands_at, "acknowledged at another place");
}
