//! The broker's own settings under Kafka's names, for those who look them up. They are set by
//! the program that runs it, so all of them are read-only.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;

use super::super::offsets::LONGEST_METADATA;
use super::super::text;
use super::super::topics::Refusal;
use super::{DEFAULT, STATIC, synonym};
use crate::server::Server;

/// All settings of the broker of this name. None is the same for a whole cluster, which is what
/// the empty name asks for.
pub(super) fn settings(
    server: &Server,
    name: &str,
    wanted: impl Fn(&str) -> bool,
    with_synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let own = server.config.node_id.to_string();
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name != own {
        let message = format!("this is broker {own}, and {name} is not known");
        return Err((ResponseError::InvalidRequest, message));
    }
    let settings = values(server).into_iter().filter(|(key, _)| wanted(key));
    let settings = settings.map(|(key, value)| {
        let source = match key {
            "broker.id" | "node.id" | "listeners" | "advertised.listeners" | "log.dirs" => STATIC,
            _ => DEFAULT,
        };
        let synonyms = with_synonyms.then(|| synonym(key, &value, source));
        DescribeConfigsResourceResult::default()
            .with_name(text(key))
            .with_value(Some(text(&value)))
            .with_read_only(true)
            .with_config_source(source)
            .with_synonyms(synonyms.into_iter().collect())
    });
    Ok(settings.collect())
}

fn values(server: &Server) -> Vec<(&'static str, String)> {
    let config = &server.config;
    let (topics, groups, limits) = (&config.topics, &config.groups, &config.limits);
    let advertised = &server.advertised;
    vec![
        (
            "advertised.listeners",
            format!("PLAINTEXT://{}:{}", advertised.host, advertised.port),
        ),
        (
            "auto.create.topics.enable",
            config.auto_create_topics.to_string(),
        ),
        ("broker.id", config.node_id.to_string()),
        ("compression.type", "producer".into()),
        (
            "connections.max.idle.ms",
            limits.idle.as_millis().to_string(),
        ),
        ("default.replication.factor", "1".into()),
        ("fetch.max.bytes", limits.fetch_bytes.to_string()),
        (
            "group.initial.rebalance.delay.ms",
            groups.initial_rebalance_delay.as_millis().to_string(),
        ),
        (
            "group.max.session.timeout.ms",
            groups.max_session_timeout.as_millis().to_string(),
        ),
        (
            "group.min.session.timeout.ms",
            groups.min_session_timeout.as_millis().to_string(),
        ),
        ("listeners", format!("PLAINTEXT://{}", config.bind)),
        ("log.dirs", config.data_dir.to_string_lossy().into_owned()),
        ("log.retention.bytes", topics.retention_bytes.to_string()),
        ("log.retention.ms", topics.retention_ms.to_string()),
        ("log.roll.ms", topics.segment_ms.to_string()),
        ("log.segment.bytes", topics.segment_bytes.to_string()),
        ("max.connections", limits.connections.to_string()),
        (
            "max.connections.per.ip",
            limits.connections_per_address.to_string(),
        ),
        ("message.max.bytes", topics.max_message_bytes.to_string()),
        ("min.insync.replicas", "1".into()),
        ("node.id", config.node_id.to_string()),
        ("num.partitions", topics.partitions.to_string()),
        ("offset.metadata.max.bytes", LONGEST_METADATA.to_string()),
        // Committed offsets do not expire.
        ("offsets.retention.minutes", i32::MAX.to_string()),
        (
            "queued.max.request.bytes",
            limits.request_memory_bytes.to_string(),
        ),
        ("socket.request.max.bytes", limits.request_bytes.to_string()),
        ("unclean.leader.election.enable", "false".into()),
    ]
}
