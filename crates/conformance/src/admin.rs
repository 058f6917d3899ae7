//! Topics and their settings.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};

use crate::Log;
use crate::kit::{WAIT, blocking, name, options};
use crate::raw::{said, string, topic_name};

pub(crate) async fn topics_are_made_and_deleted(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(2, &[]).await?;
    ensure!(partitions(&log, &topic).await? == 2);
    let again = log.create(&topic, 2, &[]).await?;
    ensure!(
        again == Err(RDKafkaErrorCode::TopicAlreadyExists),
        "{again:?}"
    );
    let none = log.create(&name("topic"), 0, &[]).await?;
    ensure!(none == Err(RDKafkaErrorCode::InvalidPartitions), "{none:?}");

    let admin = log.admin()?;
    let deleted = admin.delete_topics(&[&topic], &options()).await?;
    ensure!(deleted == [Ok(topic.clone())], "{deleted:?}");
    let until = Instant::now() + WAIT;
    while partitions(&log, &topic).await? > 0 {
        ensure!(Instant::now() < until, "it is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let deleted = admin.delete_topics(&[&topic], &options()).await?;
    match &deleted[..] {
        [Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))] => Ok(()),
        other => bail!("{other:?}"),
    }
}

pub(crate) async fn what_is_only_validated_is_refused_for_the_same_reasons(
    log: Log,
) -> anyhow::Result<()> {
    for (partitions, wanted) in [
        (0, "InvalidPartitions"),
        (-5, "InvalidPartitions"),
        (3, "None"),
    ] {
        let topic = name("topic");
        let wish = CreatableTopic::default()
            .with_name(topic_name(&topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let ask = CreateTopicsRequest::default()
            .with_topics(vec![wish])
            .with_timeout_ms(10_000)
            .with_validate_only(true);
        let answer = log.node().await?.ask(5, &ask).await?;
        let found = said(answer.topics[0].error_code);
        ensure!(found == wanted, "{partitions}: {found}");
        ensure!(self::partitions(&log, &topic).await? == 0);
    }
    Ok(())
}

pub(crate) async fn partitions_are_added_and_never_taken(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(2, &[]).await?;
    let admin = log.admin()?;
    let grown = admin
        .create_partitions([&NewPartitions::new(&topic, 4)], &options())
        .await?;
    ensure!(grown == [Ok(topic.clone())], "{grown:?}");
    let until = Instant::now() + WAIT;
    while partitions(&log, &topic).await? != 4 {
        ensure!(Instant::now() < until, "there are not four");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let taken = admin
        .create_partitions([&NewPartitions::new(&topic, 3)], &options())
        .await?;
    match &taken[..] {
        [Err((_, RDKafkaErrorCode::InvalidPartitions))] => Ok(()),
        other => bail!("{other:?}"),
    }
}

pub(crate) async fn settings_are_described_and_changed(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[("retention.ms", "3600000")]).await?;
    ensure!(setting(&log, &topic, "retention.ms").await? == "3600000");
    ensure!(setting(&log, &topic, "cleanup.policy").await? == "delete");
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "60000");
    let changed = log.admin()?.alter_configs([&change], &options()).await?;
    ensure!(changed.iter().all(|result| result.is_ok()), "{changed:?}");
    let until = Instant::now() + WAIT;
    while setting(&log, &topic, "retention.ms").await? != "60000" {
        ensure!(Instant::now() < until, "the change is not seen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

pub(crate) async fn bad_names_and_settings_are_refused(log: Log) -> anyhow::Result<()> {
    for bad in ["a/b", "..", "ä", &"x".repeat(250)] {
        let refused = log.create(bad, 1, &[]).await?;
        ensure!(
            refused == Err(RDKafkaErrorCode::InvalidTopic),
            "{bad}: {refused:?}"
        );
    }
    for (key, value) in [
        ("no.such.setting", "1"),
        ("retention.ms", "soon"),
        ("cleanup.policy", "x"),
    ] {
        let refused = log.create(&name("topic"), 1, &[(key, value)]).await?;
        ensure!(
            refused == Err(RDKafkaErrorCode::InvalidConfig),
            "{key}: {refused:?}"
        );
    }
    Ok(())
}

pub(crate) async fn what_is_asked_twice_is_not_done(log: Log) -> anyhow::Result<()> {
    let (once, twice) = (name("topic"), name("topic"));
    let wish = |topic: &str| {
        CreatableTopic::default()
            .with_name(topic_name(topic))
            .with_num_partitions(1)
            .with_replication_factor(-1)
    };
    let wishes = vec![wish(&twice), wish(&once), wish(&twice)];
    let mut found = create(&log, wishes).await?;
    found.sort_unstable();
    let mut wanted = [(once.clone(), "None"), (twice.clone(), "InvalidRequest")]
        .map(|(topic, said)| (topic, said.to_owned()));
    wanted.sort_unstable();
    ensure!(found == wanted, "{found:?}");
    ensure!(partitions(&log, &twice).await? == 0);

    let more = CreatePartitionsTopic::default()
        .with_name(topic_name(&once))
        .with_count(3)
        .with_assignments(None);
    let ask = CreatePartitionsRequest::default()
        .with_topics(vec![more.clone(), more])
        .with_timeout_ms(10_000);
    let answer = log.node().await?.ask(2, &ask).await?;
    let found: Vec<_> = answer.results.iter().map(|r| said(r.error_code)).collect();
    ensure!(found == ["InvalidRequest"], "{found:?}");

    let ask = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name(&once), topic_name(&once)])
        .with_timeout_ms(10_000);
    let answer = log.node().await?.ask(5, &ask).await?;
    let found: Vec<_> = answer
        .responses
        .iter()
        .map(|r| said(r.error_code))
        .collect();
    ensure!(found == ["InvalidRequest"], "{found:?}");
    ensure!(partitions(&log, &once).await? == 1);
    Ok(())
}

pub(crate) async fn wishes_that_contradict_themselves_are_refused(log: Log) -> anyhow::Result<()> {
    let there = log.topic(1, &[]).await?;
    let known = log.node().await?.metadata(&there).await?;
    let node = known.brokers.first().context("a node")?.node_id;
    let assigned = |numbers: &[i32]| -> Vec<_> {
        let parts = numbers.iter().map(|number| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*number)
                .with_broker_ids(vec![node])
        });
        parts.collect()
    };
    let wish = |count, copies, numbers: &[i32]| {
        CreatableTopic::default()
            .with_name(topic_name(&name("topic")))
            .with_num_partitions(count)
            .with_replication_factor(copies)
            .with_assignments(assigned(numbers))
    };
    let null = CreatableTopicConfig::default()
        .with_name(string("retention.ms"))
        .with_value(None);
    // Kafka's metrics do not tell the two apart.
    let (dotted, plain) = (format!("{there}.x"), format!("{there}_x"));
    ensure!(log.create(&dotted, 1, &[]).await? == Ok(()));
    for (wish, wanted) in [
        (wish(-1, -1, &[0, 1]), "None"),
        (wish(2, -1, &[0, 1]), "InvalidRequest"),
        (wish(-1, 1, &[0, 1]), "InvalidRequest"),
        (wish(-1, -1, &[0, 0]), "InvalidReplicaAssignment"),
        (wish(-1, -1, &[0, 2]), "InvalidReplicaAssignment"),
        (wish(1, -1, &[]).with_configs(vec![null]), "InvalidConfig"),
        (
            wish(1, -1, &[]).with_name(topic_name(&plain)),
            "InvalidTopicException",
        ),
    ] {
        let said = format!("{wish:?}");
        let found = create(&log, vec![wish]).await?;
        ensure!(found[0].1 == wanted, "{said}: {found:?}");
    }
    Ok(())
}

/// Topics, with what was said of each.
async fn create(log: &Log, wishes: Vec<CreatableTopic>) -> anyhow::Result<Vec<(String, String)>> {
    let ask = CreateTopicsRequest::default()
        .with_topics(wishes)
        .with_timeout_ms(10_000);
    let answer = log.node().await?.ask(5, &ask).await?;
    let results = answer.topics.into_iter();
    Ok(results
        .map(|result| (result.name.to_string(), said(result.error_code)))
        .collect())
}

async fn setting(log: &Log, topic: &str, key: &str) -> anyhow::Result<String> {
    let described = log
        .admin()?
        .describe_configs([&ResourceSpecifier::Topic(topic)], &options())
        .await?;
    let described = described.into_iter().next().context("an answer")?;
    let described = described.map_err(|code| anyhow::anyhow!("{code}"))?;
    let entry = described
        .entries
        .into_iter()
        .find(|entry| entry.name == key);
    entry
        .and_then(|entry| entry.value)
        .with_context(|| format!("no value of {key}"))
}

/// How many partitions a topic has; 0 when there is no such topic.
async fn partitions(log: &Log, topic: &str) -> anyhow::Result<usize> {
    let (reader, topic) = (log.reader()?, topic.to_owned());
    blocking(move || {
        let metadata = reader.fetch_metadata(None, WAIT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.map_or(0, |found| found.partitions().len()))
    })
    .await
}
