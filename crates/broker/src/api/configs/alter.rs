//! Settings changed, the older way and the newer one, by the checks of Kafka's
//! `ConfigAdminManager.preprocess`.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::super::topics::{Refusal, refusal, repeated, settled};
use super::super::{changing, text};
use super::{BROKER, TOPIC, unknown_resource};
use crate::config::TopicDefaults;
use crate::server::Server;
use crate::topics::Refused;
use crate::topics::config::{ConfigError, TopicConfig};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is wanted of one resource.
struct Wish {
    kind: i8,
    name: StrBytes,
    /// What is not named goes back to its default.
    replaces: bool,
    changes: Vec<Change>,
}

struct Change {
    key: StrBytes,
    operation: i8,
    value: Option<StrBytes>,
}

/// The older way: what is not named goes back to its default.
pub(in super::super) async fn replace(
    server: Arc<Server>,
    ask: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let wishes = ask.resources.into_iter().map(|resource| {
        let changes = resource.configs.into_iter().map(|config| Change {
            key: config.name,
            operation: SET,
            value: config.value,
        });
        Wish {
            kind: resource.resource_type,
            name: resource.resource_name,
            replaces: true,
            changes: changes.collect(),
        }
    });
    let done = all(&server, wishes.collect(), ask.validate_only).await;
    let responses = done.into_iter().map(|(kind, name, (code, message))| {
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(name)
            .with_error_code(code)
            .with_error_message(message)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// The newer way (KIP-339): only what is named changes.
pub(in super::super) async fn alter(
    server: Arc<Server>,
    ask: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let wishes = ask.resources.into_iter().map(|resource| {
        let changes = resource.configs.into_iter().map(|config| Change {
            key: config.name,
            operation: config.config_operation,
            value: config.value,
        });
        Wish {
            kind: resource.resource_type,
            name: resource.resource_name,
            replaces: false,
            changes: changes.collect(),
        }
    });
    let done = all(&server, wishes.collect(), ask.validate_only).await;
    let responses = done.into_iter().map(|(kind, name, (code, message))| {
        incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(name)
            .with_error_code(code)
            .with_error_message(message)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// How each ended, as the answers say it.
async fn all(
    server: &Arc<Server>,
    wishes: Vec<Wish>,
    validate_only: bool,
) -> Vec<(i8, StrBytes, (i16, Option<StrBytes>))> {
    let twice = repeated(wishes.iter().map(|wish| (wish.kind, wish.name.clone())));
    let mut done = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let (kind, name) = (wish.kind, wish.name.clone());
        let changed = match twice.contains(&(kind, name.clone())) {
            true => Err(invalid("Each resource must appear at most once.".into())),
            false => one(server, wish, validate_only).await,
        };
        let said = match changed {
            Ok(()) => (0, None),
            Err((error, message)) => (error.code(), Some(text(&message))),
        };
        done.push((kind, name, said));
    }
    done
}

async fn one(server: &Arc<Server>, wish: Wish, validate_only: bool) -> Result<(), Refusal> {
    check(&wish)?;
    let (shared, topic) = (server.clone(), wish.name.clone());
    let changed = changing(server, move || {
        let defaults = shared.topics.defaults();
        if !validate_only {
            let changed = shared
                .topics
                .configure(&wish.name, |config| wish.apply(config, defaults));
            return settled(&shared, changed);
        }
        let topic = shared.topics.find(&wish.name).ok_or(Refused::Unknown)?;
        let changed = wish.apply(&topic.config, defaults);
        changed.map(drop).map_err(Refused::Config)
    });
    changed.await.map_err(|refused| refusal(&topic, refused))
}

fn check(wish: &Wish) -> Result<(), Refusal> {
    let keys: BTreeSet<&StrBytes> = wish.changes.iter().map(|change| &change.key).collect();
    if keys.len() < wish.changes.len() {
        return Err(invalid("Error due to duplicate config keys".into()));
    }
    let mut changes = wish.changes.iter();
    let nothing = changes.find(|change| change.value.is_none() && change.operation != DELETE);
    if let Some(Change { key, .. }) = nothing {
        return Err(invalid(format!(
            "Null value not supported for : {}",
            &**key
        )));
    }
    match wish.kind {
        TOPIC => Ok(()),
        BROKER => {
            let message = "the broker's settings are those of the program that runs it";
            Err((ResponseError::InvalidConfig, message.into()))
        }
        other => Err(unknown_resource(other)),
    }
}

fn invalid(message: String) -> Refusal {
    (ResponseError::InvalidRequest, message)
}

impl Wish {
    fn apply(
        &self,
        config: &TopicConfig,
        defaults: &TopicDefaults,
    ) -> Result<TopicConfig, ConfigError> {
        let mut config = match self.replaces {
            true => TopicConfig::default(),
            false => config.clone(),
        };
        for change in &self.changes {
            let value = change.value.as_deref().unwrap_or_default();
            match change.operation {
                SET => config.set(&change.key, value)?,
                DELETE => config.unset(&change.key)?,
                APPEND => config.append(&change.key, value, defaults)?,
                SUBTRACT => config.subtract(&change.key, value, defaults)?,
                _ => {
                    return Err(ConfigError::Value {
                        key: change.key.to_string(),
                        found: value.to_owned(),
                        must: "be set, deleted, appended to or subtracted from",
                    });
                }
            }
        }
        Ok(config)
    }
}
