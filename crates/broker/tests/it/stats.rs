use std::time::Duration;

use crate::client::{consumer, create, send, start};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_calls_errors_bytes_and_lag() {
    let street = start().await;
    street.topic("t", 2, &[]).await;
    let again = create(&street.broker.bootstrap(), "t", 2, &[]).await;
    assert!(again.is_err());
    let producer = street.producer();
    for i in 0..7 {
        send(&producer, "t", 0, "k", &i.to_string()).await;
    }
    let mut client = street.client();
    tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(3))
            .unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    })
    .await
    .unwrap();

    let stats = street.broker.monitor().stats();
    let call = |name: &str| {
        let found = stats.calls.iter().find(|call| call.name == name);
        found.map_or(0, |call| call.took.count)
    };
    assert_eq!(call("Produce"), 7);
    assert_eq!((call("CreateTopics"), call("OffsetCommit")), (2, 1));
    assert_eq!(call("DeleteTopics"), 0);
    let produce = stats.calls.iter().find(|call| call.name == "Produce");
    let took = &produce.unwrap().took;
    assert!(took.total > Duration::ZERO && took.longest <= took.total);
    let errors: Vec<_> = stats
        .errors
        .iter()
        .map(|error| (error.code, &*error.name, error.count))
        .collect();
    assert!(
        errors.contains(&(36, "TopicAlreadyExists", 1)),
        "{errors:?}"
    );
    assert!(stats.syncs.count > 0 && stats.bytes_in > 0 && stats.bytes_out > 0);
    assert_eq!(stats.records_appended, 7);
    let group = &stats.groups[0];
    assert_eq!((group.name.as_str(), group.lag), ("g", 4));
    assert_eq!(group.lag_by_topic["t"], 4);
    let partitions = &stats.topics[0].partitions;
    assert!(partitions[0].bytes > 0 && partitions[0].segments == 1);
}
