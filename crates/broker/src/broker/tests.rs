use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::api;
use crate::batch::{self, NewRecord};
use crate::file::sim::{Moment, SimDisk};
use crate::topics::TopicName;
use crate::topics::config::TopicConfig;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_broker_and_acknowledges_nobody() {
    let disk = SimDisk::default();
    let mut config = BrokerConfig::new("data");
    config.bind.set_port(0);
    let broker = open(config, Arc::new(disk.clone())).unwrap();
    let server = broker.server.clone();
    let name = TopicName::parse("t").unwrap();
    let topic = server
        .topics
        .create(name, 1, TopicConfig::default(), 0, |_| Ok(()))
        .unwrap();
    let mut running = broker.start();

    let append = || {
        let batch = batch::build(
            &[NewRecord {
                key: b"k",
                value: None,
            }],
            1,
        );
        let header = batch::check(&batch, 1 << 20, false).unwrap();
        let appended = topic.partitions[0].append(&batch, header, &topic.log_settings, 1);
        server.syncer.enqueue(&topic.partitions[0]);
        appended.unwrap().next_offset
    };
    topic.partitions[0].synced(append()).await.unwrap();
    disk.fail_syncs(true);
    let never = append();
    let error = tokio::time::timeout(Duration::from_secs(10), running.failed())
        .await
        .unwrap();
    assert!(matches!(error, Error::Sync { .. }), "{error}");
    let wait = Duration::from_millis(100);
    assert!(
        tokio::time::timeout(wait, topic.partitions[0].synced(never))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_way_is_done_before_the_log_is_closed() {
    let disk = SimDisk::default();
    let mut config = BrokerConfig::new("data");
    config.bind.set_port(0);
    let server = open(config, Arc::new(disk.clone())).unwrap().server;
    let create = |name: &str| {
        let (shared, name) = (server.clone(), TopicName::parse(name).unwrap());
        let config = TopicConfig::default();
        let create = move || shared.topics.create(name, 1, config, 0, |_| Ok(()));
        let server = server.clone();
        async move { api::changing(&server, create).await.unwrap() }
    };
    let (go_on, told) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let wait = move || {
        begun.send(()).unwrap();
        told.recv().unwrap();
    };
    disk.during(Moment::Sync, 0, Box::new(wait));
    let creating = tokio::spawn(create("t"));
    tokio::task::spawn_blocking(move || began.recv().unwrap())
        .await
        .unwrap();
    let shared = server.clone();
    let closing = tokio::task::spawn_blocking(move || close(&shared));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    go_on.send(()).unwrap();
    closing.await.unwrap().unwrap();
    creating.await.unwrap();
    // What comes later is not begun.
    let late = tokio::time::timeout(Duration::from_millis(50), create("late"));
    assert!(late.await.is_err());
    assert!(server.topics.find("late").is_none());
}
