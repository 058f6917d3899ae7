//! Topics' settings, one by one: what is described, what changes, what is refused.

use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as OldResource, AlterableConfig as OldConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::{Instant, sleep};

use crate::Log;
use crate::differences::{
    Difference, RECOMPRESSION, RETENTION_DEFAULT, SEGMENT_DEFAULT, SMALL_SEGMENTS,
};
use crate::kit::{WAIT, name};
use crate::raw::{Connection, said, string};

const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
/// `DYNAMIC_TOPIC_CONFIG`: set for this topic. What is not has another source.
const OF_THE_TOPIC: i8 = 1;

pub(crate) async fn defaults_are_described(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[]).await?;
    let mut node = log.node().await?;
    for (key, wanted) in [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "CreateTime"),
        ("retention.bytes", "-1"),
        ("segment.ms", "604800000"),
    ] {
        let found = described(&mut node, &topic, key).await?;
        ensure!(found.value == wanted, "{key}: {}", found.value);
        ensure!(found.source != OF_THE_TOPIC, "{key} is not of the topic");
    }
    for (key, line) in [
        ("retention.ms", RETENTION_DEFAULT),
        ("segment.bytes", SEGMENT_DEFAULT),
    ] {
        log.differs(line, described(&mut node, &topic, key).await?.value)?;
    }
    Ok(())
}

pub(crate) async fn single_settings_are_changed_and_go_back_to_their_defaults(
    log: Log,
) -> anyhow::Result<()> {
    let topic = log.topic(1, &[("retention.bytes", "5000000")]).await?;
    let mut node = log.node().await?;
    let set = |key: &'static str, value: &'static str| (key, SET, Some(value));
    let changed = alter(&mut node, &topic, false, &[set("retention.ms", "60000")]).await?;
    ensure!(changed == "None", "{changed}");
    until(&mut node, &topic, "retention.ms", "60000").await?;
    let other = described(&mut node, &topic, "retention.bytes").await?;
    ensure!(
        (other.value.as_str(), other.source) == ("5000000", OF_THE_TOPIC),
        "a setting that was not named: {other:?}"
    );

    let tried = alter(&mut node, &topic, true, &[set("retention.ms", "1")]).await?;
    ensure!(tried == "None", "{tried}");
    for (key, value) in [("retention.ms", "soon"), ("no.such.setting", "1")] {
        let refused = alter(&mut node, &topic, false, &[set(key, value)]).await?;
        ensure!(refused == "InvalidConfig", "{key}: {refused}");
    }
    let unknown = alter(
        &mut node,
        &name("topic"),
        false,
        &[set("retention.ms", "1")],
    )
    .await?;
    ensure!(unknown == "UnknownTopicOrPartition", "{unknown}");
    let of_number = [("retention.ms", APPEND, Some("60000"))];
    let appended = alter(&mut node, &topic, false, &of_number).await?;
    ensure!(appended == "InvalidConfig", "{appended}");

    let appended = [("cleanup.policy", APPEND, Some("delete"))];
    ensure!(alter(&mut node, &topic, false, &appended).await? == "None");
    until(&mut node, &topic, "cleanup.policy", "delete").await?;

    let deleted = [
        ("retention.bytes", DELETE, None),
        ("retention.ms", DELETE, None),
    ];
    ensure!(alter(&mut node, &topic, false, &deleted).await? == "None");
    until(&mut node, &topic, "retention.bytes", "-1").await?;
    let found = described(&mut node, &topic, "retention.ms").await?;
    ensure!(found.source != OF_THE_TOPIC, "{found:?}");
    log.differs(RETENTION_DEFAULT, found.value)
}

pub(crate) async fn changes_that_contradict_themselves_are_refused(log: Log) -> anyhow::Result<()> {
    let topic = log.topic(1, &[("retention.ms", "60000")]).await?;
    let mut node = log.node().await?;
    for changes in [
        &[("retention.ms", SET, None)][..],
        &[("cleanup.policy", APPEND, None)],
        &[
            ("retention.ms", SET, Some("1")),
            ("retention.ms", DELETE, None),
        ],
    ] {
        let refused = alter(&mut node, &topic, false, changes).await;
        let refused = refused.with_context(|| format!("{changes:?}"))?;
        ensure!(refused == "InvalidRequest", "{changes:?}: {refused}");
    }
    // The older way.
    let config = |value: Option<&str>| {
        OldConfig::default()
            .with_name(string("retention.ms"))
            .with_value(value.map(string))
    };
    let resource = |configs: Vec<OldConfig>| {
        OldResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(string(&topic))
            .with_configs(configs)
    };
    // Of one resource: to one that is named twice, Apache Kafka gives no answer.
    for configs in [
        vec![config(None)],
        vec![config(Some("1")), config(Some("2"))],
    ] {
        let ask = AlterConfigsRequest::default().with_resources(vec![resource(configs)]);
        let answer = node.ask(1, &ask).await;
        let answer = answer.with_context(|| format!("{ask:?}"))?;
        for one in &answer.responses {
            let refused = said(one.error_code);
            ensure!(refused == "InvalidRequest", "{ask:?}: {refused}");
        }
        ensure!(answer.responses.len() == ask.resources.len());
    }
    let kept = described(&mut node, &topic, "retention.ms").await?;
    ensure!(kept.value == "60000", "{kept:?}");
    Ok(())
}

pub(crate) async fn settings_that_one_log_has_and_the_other_has_not(
    log: Log,
) -> anyhow::Result<()> {
    let cases: [(Difference, &str, &str); 2] = [
        (RECOMPRESSION, "compression.type", "gzip"),
        (SMALL_SEGMENTS, "segment.bytes", "1000"),
    ];
    for (line, key, value) in cases {
        let found = match log.create(&name("topic"), 1, &[(key, value)]).await? {
            Ok(()) => "None".to_owned(),
            Err(code) => format!("{code:?}"),
        };
        log.differs(line, found)?;
    }
    Ok(())
}

pub(crate) async fn more_copies_than_nodes_are_refused(log: Log) -> anyhow::Result<()> {
    let refused = log.create_copies(&name("topic"), 100).await?;
    ensure!(
        refused == Err(RDKafkaErrorCode::InvalidReplicationFactor),
        "{refused:?}"
    );
    Ok(())
}

#[derive(Debug)]
struct Found {
    value: String,
    source: i8,
}

async fn described(node: &mut Connection, topic: &str, key: &str) -> anyhow::Result<Found> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(string(topic))
        .with_configuration_keys(Some(vec![string(key)]));
    let ask = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let until = Instant::now() + WAIT;
    loop {
        let answer = node.ask(4, &ask).await?;
        let described = answer.results.into_iter().next().context("an answer")?;
        if described.error_code == 0 {
            return found(described).with_context(|| key.to_owned());
        }
        // A cluster's nodes hear of a new topic one after the other.
        ensure!(Instant::now() < until, "{}", said(described.error_code));
        sleep(Duration::from_millis(50)).await;
    }
}

fn found(described: DescribeConfigsResult) -> anyhow::Result<Found> {
    let config = described
        .configs
        .into_iter()
        .next()
        .context("the setting")?;
    Ok(Found {
        value: config.value.context("its value")?.to_string(),
        source: config.config_source,
    })
}

async fn until(node: &mut Connection, topic: &str, key: &str, wanted: &str) -> anyhow::Result<()> {
    let until = Instant::now() + WAIT;
    loop {
        let found = described(node, topic, key).await?;
        if found.value == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{key}: {found:?}, not {wanted}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn alter(
    node: &mut Connection,
    topic: &str,
    validate_only: bool,
    changes: &[(&str, i8, Option<&str>)],
) -> anyhow::Result<String> {
    let changes = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(string(key))
            .with_config_operation(*operation)
            .with_value(value.map(string))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(string(topic))
        .with_configs(changes.collect());
    let ask = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    let answer = node.ask(1, &ask).await?;
    let altered = answer.responses.first().context("an answer")?;
    Ok(said(altered.error_code))
}
