//! Topics are made as `schemas/topics.toml` says, and never taken as they are.

use compline_event::Topic;
use compline_eventlog::{Log, LogConfig, LogError, Mend, Survey, TopicSpec};
use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
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
        assert_eq!(report.name, street.name(report.topic));
    }
    let second = street.log.ensure_topics().await.unwrap();
    assert!(second.iter().all(|report| !report.made), "{second:?}");
    assert_eq!(street.log.partition_count(Topic::Ad).await.unwrap(), 6);
}

/// Whoever mends one and starts again must not find the next.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_and_all_that_is_broken_is_told_at_once() {
    let street = Street::without_topics().await;
    let looked = street.log.survey_topics(Mend::Nothing).await.unwrap();
    assert_eq!(looked.topics, []);
    assert_eq!(looked.missing, Topic::ALL.map(|topic| street.name(topic)));
    let error = looked.check().unwrap_err().to_string();
    assert!(
        looked.missing.iter().all(|name| error.contains(name)),
        "{error}"
    );

    let admin = admin(&street.bootstrap());
    for (topic, partitions) in [(Topic::Ad, 5), (Topic::Tenant, 2)] {
        let name = street.name(topic);
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let topic = topic.set("retention.ms", "60000");
        let made = admin.create_topics([&topic], &AdminOptions::new()).await;
        made.unwrap().remove(0).unwrap();
    }
    let error = street.log.ensure_topics().await.unwrap_err();
    assert!(error.is_broken_promise(), "{error}");
    let said = error.to_string();
    for topic in [Topic::Ad, Topic::Tenant] {
        let name = street.name(topic);
        let part = format!("topic {name} has retention.ms = 60000");
        assert!(said.contains(&part), "{said}");
    }
    assert!(
        said.contains("5 partitions") && said.contains("2 partitions"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_count_is_refused_with_both_numbers() {
    let street = Street::without_topics().await;
    let admin = admin(&street.bootstrap());
    let ad = street.name(Topic::Ad);
    let topic = NewTopic::new(&ad, 5, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await;
    made.unwrap().remove(0).unwrap();

    let error = street.log.ensure_topics().await.unwrap_err().to_string();
    assert!(error.contains(&ad), "{error}");
    assert!(error.contains('5') && error.contains('6'), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_told_and_set_only_when_told_to() {
    let street = Street::open().await;
    let ad = street.name(Topic::Ad);
    let alter = |key: &'static str, value: &'static str| {
        let (bootstrap, ad) = (street.bootstrap(), ad.clone());
        async move {
            let alter = AlterConfig::new(ResourceSpecifier::Topic(&ad));
            let all = alter.set("segment.bytes", "2000000");
            // Where it is not named it gets the broker's default.
            let all = all.set("retention.ms", "-1").set(key, value);
            let set = admin(&bootstrap)
                .alter_configs([&all], &AdminOptions::new())
                .await;
            set.unwrap().remove(0).unwrap();
        }
    };
    let of_ad = |survey: Survey| {
        let mut topics = survey.topics.into_iter();
        topics.find(|report| report.topic == Topic::Ad).unwrap()
    };

    alter("max.message.bytes", "20000000").await;
    street.log.ensure_topics().await.unwrap();

    alter("retention.ms", "3600000").await;
    let error = street.log.ensure_topics().await.unwrap_err().to_string();
    for named in [ad.as_str(), "retention.ms = 3600000", "-1"] {
        assert!(error.contains(named), "{error}");
    }
    let told = of_ad(street.log.survey_topics(Mend::Missing).await.unwrap());
    let broken: Vec<_> = told.broken().map(|d| d.setting).collect();
    // The call that sets one sets all others back to the broker's defaults.
    assert_eq!(broken, ["retention.ms", "max.message.bytes"]);

    let mended = of_ad(street.log.survey_topics(Mend::Settings).await.unwrap());
    assert!(mended.differences.iter().all(|d| d.mended), "{mended:?}");
    let right = of_ad(street.log.survey_topics(Mend::Nothing).await.unwrap());
    assert_eq!(right.differences, []);
    // What others have set stays.
    let of_topic = [ResourceSpecifier::Topic(&ad)];
    let admin = admin(&street.bootstrap());
    let all = admin
        .describe_configs(&of_topic, &AdminOptions::new())
        .await;
    let all = all.unwrap().remove(0).unwrap();
    let segment = all.get("segment.bytes").unwrap().value.as_deref();
    assert_eq!(segment, Some("2000000"));
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap()
}

#[tokio::test]
async fn a_setting_that_librdkafka_does_not_know_is_named() {
    let mut config = LogConfig::new("127.0.0.1:1");
    let (key, value) = ("security.protocl", "SSL");
    config.properties.insert(key.to_owned(), value.to_owned());
    let error = Log::new(config).unwrap_err().to_string();
    assert!(error.contains(key) && error.contains(value), "{error}");
}
