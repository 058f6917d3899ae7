//! The settings of every role, in one shape. What each key means stands in
//! `compline.default.toml`, which is also where the defaults are.

mod broker;
mod check;
pub mod excerpt;
mod postgres;

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Result;
use compline_eventlog::LogConfig;
use compline_ingress::IngressConfig;
use compline_runtime::{
    config::{ConfigError, Layers, address, byte_size, duration},
    grpc::GrpcConfig,
    telemetry::TelemetryConfig,
};
use serde::Deserialize;

pub use self::{broker::BrokerSettings, postgres::PostgresSettings};
use crate::role::{ProjectionName, RoleName};

/// The commented default file.
pub const DEFAULTS: &str = include_str!("../compline.default.toml");

/// sqlx warns of a pool that fills up, which is slow by its nature, and of a statement that
/// takes a second, whole, as on a machine that is busy.
const QUIET: &str = "log = \"warn,sqlx::pool=error,sqlx::query=error\"";

const ENV_PREFIX: &str = "COMPLINE";

/// Variables under the prefix that are flags of the command line.
const FLAGS: [&str; 8] = [
    "COMPLINE_API_KEY",
    "COMPLINE_COMMAND_URL",
    "COMPLINE_CONFIG",
    "COMPLINE_DATA",
    "COMPLINE_OPERATOR_KEY",
    "COMPLINE_QUERY_URL",
    "COMPLINE_STRIPE_SECRET",
    "COMPLINE_WEBHOOK_SECRET",
];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub telemetry: TelemetryConfig,
    pub admin: AdminSettings,
    pub log: LogConfig,
    pub postgres: PostgresSettings,
    pub ingress: IngressConfig,
    pub engine: EngineSettings,
    pub projector: ProjectorSettings,
    pub query: QuerySettings,
    pub command: CommandSettings,
    pub broker: BrokerSettings,
    pub cluster: ClusterSettings,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    #[serde(with = "address")]
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub connections: u32,
    pub batch_records: usize,
    #[serde(with = "byte_size")]
    pub batch_bytes: usize,
    #[serde(with = "duration")]
    pub ready_lag: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectorSettings {
    pub connections: u32,
    pub batch_records: usize,
    #[serde(with = "byte_size")]
    pub batch_bytes: usize,
    #[serde(with = "duration")]
    pub ready_lag: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuerySettings {
    pub connections: u32,
    pub grpc: GrpcConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    pub connections: u32,
    #[serde(with = "duration")]
    pub verdict_wait: Duration,
    pub operator_key_sha256: String,
    pub grpc: GrpcConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    pub port: u16,
    #[serde(with = "byte_size")]
    pub shared_buffers: usize,
    pub prefer_system: bool,
}

/// For whom settings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A tool that asks what runs elsewhere.
    Tool,
    /// Making what the roles expect to be there.
    Migrate,
    /// One role in a process of its own.
    Role(RoleName),
    /// The whole street in one process, with a log and a database of its own.
    Up,
    /// The same on a Kafka cluster.
    UpOnKafka,
}

impl Settings {
    /// For tools: the defaults, `file`, and this process's environment.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Self::load_for(Purpose::Tool, file)
    }

    /// As [`Settings::load`]. Whatever `purpose` could not run with is refused, and
    /// nothing was started for it.
    pub fn load_for(purpose: Purpose, file: Option<&Path>) -> Result<Self> {
        Self::load_layers(purpose, file, environment())
    }

    /// For the whole street, with a given environment.
    pub fn load_from(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        Self::load_layers(Purpose::Up, file, variables)
    }

    fn load_layers(
        purpose: Purpose,
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        // A start on a terminal tells of itself; of the log lines only trouble.
        let mut layers = Layers::new().defaults(match purpose {
            Purpose::Up | Purpose::UpOnKafka => DEFAULTS.replacen("log = \"info\"", QUIET, 1),
            Purpose::Tool | Purpose::Migrate | Purpose::Role(_) => DEFAULTS.to_owned(),
        });
        if let Some(file) = file {
            layers = layers.file(file);
        }
        let layers = layers.env_from(ENV_PREFIX, variables).not_settings(FLAGS);
        Ok(layers.load_checked(|settings| check::check(settings, purpose))?)
    }

    /// The longest that any server may take to finish what it has begun.
    pub fn longest_drain(&self) -> Duration {
        let (query, command) = (&self.query.grpc, &self.command.grpc);
        self.ingress.http.drain.max(query.drain).max(command.drain)
    }

    /// What all pools of a process that runs every role may open at most.
    pub fn most_connections(&self) -> u32 {
        let projections = ProjectionName::ALL.len() as u32;
        // A reader for each projection, and one for keys.
        let query = self.query.connections * (projections + 1);
        // Two readers, and one for keys.
        let command = self.command.connections * 3;
        // Of a projection that is built anew there are two generations.
        let projector = self.projector.connections * projections * 2;
        self.engine.connections + projector + query + command
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

impl CommandSettings {
    /// The hash of the operator's secret, when there is an operator.
    pub fn operator_sha256(&self) -> Result<Option<[u8; 32]>, ConfigError> {
        if self.operator_key_sha256.is_empty() {
            return Ok(None);
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.operator_key_sha256, &mut hash).map_err(|_| {
            ConfigError::invalid(
                "command.operator_key_sha256",
                format!("{} characters", self.operator_key_sha256.len()),
                "64 hex digits, as `compline operator-key` prints them",
            )
        })?;
        Ok(Some(hash))
    }
}
