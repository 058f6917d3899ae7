use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{WAIT, admin, consumer, create, options, send, start};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_grown_described_changed_and_deleted() {
    let street = start().await;
    let bootstrap = street.broker.bootstrap();
    street.topic("t", 2, &[("retention.ms", "3600000")]).await;
    assert_eq!(
        create(&bootstrap, "t", 2, &[]).await,
        Err(RDKafkaErrorCode::TopicAlreadyExists)
    );
    assert_eq!(
        create(&bootstrap, "a/../../b", 1, &[]).await,
        Err(RDKafkaErrorCode::InvalidTopic)
    );
    assert_eq!(
        create(&bootstrap, "none", 0, &[]).await,
        Err(RDKafkaErrorCode::InvalidPartitions)
    );
    for (key, value) in [
        ("cleanup.policy", "compress"),
        ("no.such.key", "1"),
        ("segment.bytes", "x"),
    ] {
        let refused = create(&bootstrap, "bad", 1, &[(key, value)]).await;
        assert_eq!(refused, Err(RDKafkaErrorCode::InvalidConfig), "{key}");
    }
    let admin = admin(&bootstrap);
    let grown = admin
        .create_partitions([&NewPartitions::new("t", 5)], &options())
        .await
        .unwrap();
    assert_eq!(grown[0], Ok("t".to_owned()));
    let shrunk = admin
        .create_partitions([&NewPartitions::new("t", 3)], &options())
        .await
        .unwrap();
    assert!(matches!(
        shrunk[0],
        Err((_, RDKafkaErrorCode::InvalidPartitions))
    ));
    let (_, offset) = send(&street.producer(), "t", 4, "k", "v").await;
    assert_eq!(offset, 0);

    let retention = || async {
        let described = admin
            .describe_configs([&ResourceSpecifier::Topic("t")], &options())
            .await
            .unwrap();
        let entries = described.into_iter().next().unwrap().unwrap().entries;
        entries
            .into_iter()
            .find(|entry| entry.name == "retention.ms")
            .unwrap()
            .value
            .unwrap()
    };
    assert_eq!(retention().await, "3600000");
    let change = AlterConfig::new(ResourceSpecifier::Topic("t")).set("retention.ms", "60000");
    admin.alter_configs([&change], &options()).await.unwrap()[0]
        .as_ref()
        .unwrap();
    assert_eq!(retention().await, "60000");

    let deleted = admin
        .delete_topics(&["t", "never"], &options())
        .await
        .unwrap();
    assert_eq!(deleted[0], Ok("t".to_owned()));
    assert!(matches!(
        deleted[1],
        Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))
    ));
    // Made again under its name it is another topic, and empty.
    street.topic("t", 1, &[]).await;
    assert_eq!(send(&street.producer(), "t", 0, "k", "v").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_and_groups_are_deleted() {
    let street = start().await;
    street.topic("t", 1, &[]).await;
    let producer = street.producer();
    for i in 0..10 {
        send(&producer, "t", 0, "k", &i.to_string()).await;
    }
    let admin = admin(&street.broker.bootstrap());
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(4))
        .unwrap();
    admin.delete_records(&list, &options()).await.unwrap();
    let mut client = street.client();
    let consumer = tokio::task::spawn_blocking(move || {
        let consumer = consumer(&mut client, "g");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(7))
            .unwrap();
        rdkafka::consumer::Consumer::commit(&consumer, &list, rdkafka::consumer::CommitMode::Sync)
            .unwrap();
        assert_eq!(
            rdkafka::consumer::Consumer::fetch_watermarks(&consumer, "t", 0, WAIT).unwrap(),
            (4, 10)
        );
        let committed =
            rdkafka::consumer::Consumer::committed_offsets(&consumer, list.clone(), WAIT).unwrap();
        assert_eq!(committed.elements()[0].offset(), Offset::Offset(7));
        consumer
    });
    let consumer = consumer.await.unwrap();
    admin.delete_groups(&["g"], &options()).await.unwrap()[0]
        .as_ref()
        .unwrap();
    tokio::task::spawn_blocking(move || {
        let committed =
            rdkafka::consumer::Consumer::committed_offsets(&consumer, list, WAIT).unwrap();
        assert_eq!(committed.elements()[0].offset(), Offset::Invalid);
    })
    .await
    .unwrap();
}
