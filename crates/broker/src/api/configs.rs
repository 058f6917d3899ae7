//! Settings of topics, described and changed. The broker's own are set by who embeds it.

mod alter;
mod broker;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

pub(super) use alter::{alter, replace};

use super::text;
use super::topics::{Refusal, refusal};
use crate::server::Server;
use crate::topics::Refused;
use crate::topics::config::SETTINGS;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET_FOR_TOPIC: i8 = 1;
const STATIC: i8 = 4;
const DEFAULT: i8 = 5;

pub(super) fn describe(server: &Server, ask: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = ask.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match settings(
            server,
            resource,
            ask.include_synonyms,
            ask.include_documentation,
        ) {
            Ok(configs) => result.with_configs(configs),
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn settings(
    server: &Server,
    resource: &DescribeConfigsResource,
    with_synonyms: bool,
    with_help: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let wanted = |key: &str| {
        let keys = resource.configuration_keys.as_ref();
        // To ask for no key in particular is to ask for all of them.
        keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|wanted| &**wanted == key))
    };
    let config = match resource.resource_type {
        TOPIC => {
            let topic = server.topics.find(&resource.resource_name);
            topic
                .ok_or_else(|| refusal(&resource.resource_name, Refused::Unknown))?
                .config
                .clone()
        }
        BROKER => {
            return broker::settings(server, &resource.resource_name, wanted, with_synonyms);
        }
        other => return Err(unknown_resource(other)),
    };
    let settings = SETTINGS
        .iter()
        .filter(|setting| wanted(setting.key))
        .map(|setting| {
            let (value, is_set) = config.get(setting, server.topics.defaults());
            let source = if is_set { SET_FOR_TOPIC } else { DEFAULT };
            let mut synonyms = Vec::new();
            if with_synonyms {
                let default = (setting.default)(server.topics.defaults());
                synonyms.extend(is_set.then(|| synonym(setting.key, &value, SET_FOR_TOPIC)));
                synonyms.push(synonym(for_all_topics(setting.key), &default, DEFAULT));
            }
            DescribeConfigsResourceResult::default()
                .with_name(text(setting.key))
                .with_value(Some(text(&value)))
                .with_config_source(source)
                .with_config_type(setting.kind as i8)
                .with_synonyms(synonyms)
                .with_documentation(with_help.then(|| text(setting.help)))
        });
    Ok(settings.collect())
}

fn synonym(key: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(text(key))
        .with_value(Some(text(value)))
        .with_source(source)
}

/// What Kafka calls a topic's setting where it is set for all topics.
fn for_all_topics(key: &'static str) -> &'static str {
    match key {
        "cleanup.policy" => "log.cleanup.policy",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "max.message.bytes" => "message.max.bytes",
        "message.timestamp.type" => "log.message.timestamp.type",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "retention.bytes" => "log.retention.bytes",
        "retention.ms" => "log.retention.ms",
        "segment.bytes" => "log.segment.bytes",
        "segment.ms" => "log.roll.ms",
        same => same,
    }
}

fn unknown_resource(kind: i8) -> Refusal {
    (
        ResponseError::InvalidRequest,
        format!("resources of type {kind} have no settings here"),
    )
}
