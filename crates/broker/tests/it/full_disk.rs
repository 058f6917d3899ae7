//! A real file system that fills up. `dev/full-disk` mounts a small one for it.

use std::path::PathBuf;
use std::time::Duration;

use compline_broker::Broker;
use rdkafka::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::client::{admin, client, config, create, options, read_all};

const RECORD: usize = 50_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fills the file system at SMALL_DISK, see dev/full-disk"]
async fn a_full_file_system_refuses_writes_until_there_is_room() {
    let folder = PathBuf::from(std::env::var("SMALL_DISK").unwrap());
    let broker = Broker::open(config(&folder)).await.unwrap().start();
    let bootstrap = broker.bootstrap();
    for topic in ["kept", "thrown-away"] {
        create(&bootstrap, topic, 1, &[("segment.bytes", "1000000")])
            .await
            .unwrap();
    }
    let producer: FutureProducer = client(&bootstrap)
        .set("linger.ms", "0")
        .set("message.timeout.ms", "1500")
        .create()
        .unwrap();
    let payload: Vec<u8> = (0..RECORD).map(|i| (i * 31 % 251) as u8).collect();
    let write = |topic: &'static str, number: u32| {
        let (producer, payload) = (&producer, &payload);
        async move {
            let key = number.to_string();
            let record = FutureRecord::to(topic).key(&key).payload(payload);
            producer.send(record, Duration::from_secs(5)).await.is_ok()
        }
    };
    let mut acknowledged = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        assert!(number < 10_000, "the file system never fills up");
        if !write("thrown-away", number).await || !write("kept", number).await {
            break;
        }
        acknowledged.push(number.to_string());
    }
    assert!(acknowledged.len() > 10);
    assert!(!write("kept", number + 1).await, "it is still full");

    // What could not be written may all the same be there: an error is not a "no".
    let keys = |count: usize| {
        let client = client(&bootstrap);
        let reading = tokio::task::spawn_blocking(move || read_all(client, "kept", count));
        async move {
            let read = reading.await.unwrap();
            let keys = read.iter().map(|message| message.key().unwrap().to_vec());
            keys.map(|key| String::from_utf8(key).unwrap())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(keys(acknowledged.len()).await, acknowledged);
    let deleted = admin(&bootstrap)
        .delete_topics(&["thrown-away"], &options())
        .await
        .unwrap();
    assert!(deleted[0].is_ok(), "{deleted:?}");
    let after = number + 100;
    assert!(write("kept", after).await, "there is room again");
    broker.stop().await.unwrap();

    let broker = Broker::open(config(&folder)).await.unwrap().start();
    let client = client(&broker.bootstrap());
    let count = acknowledged.len() + 1;
    let reading = tokio::task::spawn_blocking(move || read_all(client, "kept", count));
    let read = reading.await.unwrap();
    let last = read.last().unwrap();
    assert_eq!(last.key(), Some(after.to_string().as_bytes()));
    broker.stop().await.unwrap();
}
