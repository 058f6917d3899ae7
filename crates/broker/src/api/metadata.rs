//! Who and what there is: topics, partitions, the one broker, its folder.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    MetadataRequest, MetadataResponse, TopicName,
};

use super::text;
use super::topics::create_default;
use crate::batch::LEADER_EPOCH;
use crate::server::Server;
use crate::topics::{self, Topic};

/// Nobody has asked who may do what: there are no rights to tell of.
const NO_OPERATIONS: i32 = i32::MIN;

pub(super) async fn metadata(
    server: Arc<Server>,
    ask: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    let node = BrokerId(server.config.node_id);
    let may_create =
        server.config.auto_create_topics && (version < 4 || ask.allow_auto_topic_creation);
    let topics = match ask.topics {
        // Before version 1, an empty list asked for all topics.
        None => all(&server, node),
        Some(topics) if topics.is_empty() && version == 0 => all(&server, node),
        Some(topics) => {
            let mut answers = Vec::with_capacity(topics.len());
            for topic in topics {
                answers.push(match topic.name {
                    Some(name) => one(&server, name, may_create, node).await,
                    None => match server.topics.find_id(topic.topic_id) {
                        Some(topic) => describe(&topic, node),
                        None => MetadataResponseTopic::default()
                            .with_topic_id(topic.topic_id)
                            .with_name(None)
                            .with_error_code(ResponseError::UnknownTopicId.code())
                            .with_topic_authorized_operations(NO_OPERATIONS),
                    },
                });
            }
            answers
        }
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(text(&server.advertised.host))
        .with_port(i32::from(server.advertised.port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&server.cluster_id)))
        .with_controller_id(node)
        .with_topics(topics)
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

fn all(server: &Server, node: BrokerId) -> Vec<MetadataResponseTopic> {
    server
        .topics
        .all()
        .iter()
        .map(|topic| describe(topic, node))
        .collect()
}

async fn one(
    server: &Arc<Server>,
    name: TopicName,
    may_create: bool,
    node: BrokerId,
) -> MetadataResponseTopic {
    if let Some(topic) = server.topics.find(&name) {
        return describe(&topic, node);
    }
    let error = match topics::TopicName::parse(&name) {
        Err(_) => ResponseError::InvalidTopicException,
        Ok(_) if !may_create => ResponseError::UnknownTopicOrPartition,
        Ok(parsed) => match create_default(server.clone(), parsed).await {
            Ok(topic) => return describe(&topic, node),
            Err(error) => error,
        },
    };
    MetadataResponseTopic::default()
        .with_name(Some(name))
        .with_error_code(error.code())
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn describe(topic: &Topic, node: BrokerId) -> MetadataResponseTopic {
    let partitions = (0..topic.partitions.len() as i32).map(|number| {
        MetadataResponsePartition::default()
            .with_partition_index(number)
            .with_leader_id(node)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.as_str()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(NO_OPERATIONS)
}

pub(super) fn cluster(server: &Server) -> DescribeClusterResponse {
    let node = BrokerId(server.config.node_id);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(node)
        .with_host(text(&server.advertised.host))
        .with_port(i32::from(server.advertised.port));
    DescribeClusterResponse::default()
        .with_cluster_id(text(&server.cluster_id))
        .with_controller_id(node)
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

pub(super) fn log_dirs(server: &Server, ask: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted = |name: &str, number: i32| {
        ask.topics.as_ref().is_none_or(|topics| {
            topics
                .iter()
                .any(|topic| &**topic.topic == name && topic.partitions.contains(&number))
        })
    };
    let topics = server.topics.all().into_iter().filter_map(|topic| {
        let numbered = (0..)
            .zip(&topic.partitions)
            .filter(|(number, _)| wanted(topic.name.as_str(), *number));
        let partitions: Vec<_> = numbered
            .map(|(number, partition)| {
                DescribeLogDirsPartition::default()
                    .with_partition_index(number)
                    .with_partition_size(partition.log().bytes() as i64)
            })
            .collect();
        let described =
            DescribeLogDirsTopic::default().with_name(TopicName(text(topic.name.as_str())));
        (!partitions.is_empty()).then(|| described.with_partitions(partitions))
    });
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(&server.config.data_dir.to_string_lossy()))
        .with_topics(topics.collect());
    DescribeLogDirsResponse::default().with_results(vec![result])
}
