use std::net::TcpListener;

use compline_broker::{Broker, Error};
use rdkafka::Message;

use crate::client::{Street, config, create, send, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_starts_with_all_it_had() {
    let Street {
        mut broker,
        mut folder,
    } = start().await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let street = Street { broker, folder };
        if round == 0 {
            street.topic("kept", 2, &[("segment.bytes", "2000")]).await;
        }
        let producer = street.producer();
        for i in 0..40 {
            let value = format!("{round}-{i}");
            let at = send(&producer, "kept", i % 2, "k", &value).await;
            expected.push((at, value));
        }
        let read = street.read_all("kept", expected.len()).await;
        let mut found: Vec<_> = read
            .iter()
            .map(|message| {
                let value = message.payload_view::<str>().unwrap().unwrap().to_owned();
                ((message.partition(), message.offset()), value)
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let Street {
            broker: running,
            folder: kept,
        } = street;
        running.stop().await.unwrap();
        broker = Broker::open(config(kept.path())).await.unwrap().start();
        folder = kept;
    }
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_on_the_same_folder_is_refused() {
    let street = start().await;
    let second = Broker::open(config(street.folder.path())).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    street.broker.stop().await.unwrap();
    Broker::open(config(street.folder.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_leaves_a_folder_that_was_left_in_order() {
    let street = start().await;
    street.broker.stop().await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(street.folder.path());
    config.bind = taken.local_addr().unwrap();
    let opened = Broker::open(config).await;
    assert!(matches!(opened, Err(Error::Bind { .. })), "{opened:?}");
    assert!(street.folder.path().join("log/clean").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_and_remote_addresses_are_named() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut open = config(folder.path());
    open.bind = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        Broker::open(open).await,
        Err(Error::NotLoopback { .. })
    ));
    let mut bad = config(folder.path());
    bad.topics.segment_bytes = 3;
    let error = Broker::open(bad).await.unwrap_err().to_string();
    assert_eq!(error, "setting topics.segment_bytes cannot be 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_refused_with_file_and_position() {
    let street = start().await;
    street.topic("t", 1, &[("segment.bytes", "1000")]).await;
    let producer = street.producer();
    for _ in 0..40 {
        send(&producer, "t", 0, "key", &"v".repeat(50)).await;
    }
    let path = street.folder.path().to_owned();
    drop(producer);
    street.broker.stop().await.unwrap();
    let topics = path.join("log/topics");
    let topic = std::fs::read_dir(&topics)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    // Not clean any more, so that the last segment is read again.
    std::fs::remove_file(path.join("log/clean")).unwrap();
    let mut segments: Vec<_> = std::fs::read_dir(topic.join("0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
    segments.sort();
    let last = segments.last().unwrap();
    let mut bytes = std::fs::read(last).unwrap();
    bytes[70] ^= 1;
    std::fs::write(last, bytes).unwrap();
    match Broker::open(config(&path)).await {
        Err(Error::Corrupt { path, position, .. }) => assert_eq!((&path, position), (last, 0)),
        other => panic!("{other:?}"),
    }
    drop(street.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_broker_recovers() {
    let street = start().await;
    create(&street.broker.bootstrap(), "t", 1, &[])
        .await
        .unwrap();
    send(&street.producer(), "t", 0, "k", "v").await;
    let Street { broker, folder } = street;
    drop(broker);
    let mut tries = 0;
    let again = loop {
        match Broker::open(config(folder.path())).await {
            Ok(again) => break again.start(),
            Err(Error::InUse { .. }) if tries < 100 => tries += 1,
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let street = Street {
        broker: again,
        folder,
    };
    assert_eq!(street.read_all("t", 1).await[0].payload(), Some(&b"v"[..]));
}
