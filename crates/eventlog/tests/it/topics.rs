//! Topics are made as `schemas/topics.toml` says, and never taken as they are.

use compline_event::Topic;
use compline_eventlog::{Log, LogConfig, LogError, TopicSpec};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

use crate::street::Street;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_made_once() {
    let street = Street::without_topics().await;
    let missing = street.log.partition_count(Topic::Ad).await.unwrap_err();
    assert!(
        matches!(missing, LogError::TopicMissing { .. }),
        "{missing}"
    );

    let first = street.log.ensure_topics().await.unwrap();
    assert_eq!(first.len(), Topic::ALL.len());
    for report in &first {
        assert!(report.made, "{report:?}");
        assert_eq!(report.partitions, TopicSpec::of(report.topic).partitions);
        assert_eq!(report.name, format!("test.{}", report.topic));
    }
    let second = street.log.ensure_topics().await.unwrap();
    assert!(second.iter().all(|report| !report.made), "{second:?}");
    assert_eq!(street.log.partition_count(Topic::Ad).await.unwrap(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_count_is_refused_with_both_numbers() {
    let street = Street::without_topics().await;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", street.bootstrap())
        .create()
        .unwrap();
    let topic = NewTopic::new("test.ad", 5, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await;
    made.unwrap().remove(0).unwrap();

    let error = street.log.ensure_topics().await.unwrap_err().to_string();
    assert!(error.contains("test.ad"), "{error}");
    assert!(error.contains('5') && error.contains('6'), "{error}");
}

#[tokio::test]
async fn a_setting_that_librdkafka_does_not_know_is_named() {
    let mut config = LogConfig::new("127.0.0.1:1");
    let (key, value) = ("security.protocl", "SSL");
    config.properties.insert(key.to_owned(), value.to_owned());
    let error = Log::new(config).unwrap_err().to_string();
    assert!(error.contains(key) && error.contains(value), "{error}");
}
