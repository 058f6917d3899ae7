//! The settings of every role, in one shape. What each key means stands in
//! `compline.default.toml`, which is also where the defaults are.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use compline_eventlog::LogConfig;
use compline_ingress::IngressConfig;
use compline_readmodel::{Database, Role};
use compline_runtime::{
    Secret,
    config::{ConfigError, Layers, address, byte_size, duration},
    grpc::GrpcConfig,
    telemetry::TelemetryConfig,
};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::street::DatabaseAccess;

/// The commented default file.
pub const DEFAULTS: &str = include_str!("../compline.default.toml");

/// A pool that fills up is slow by its nature, which sqlx warns of.
const QUIET: &str = "log = \"warn,sqlx::pool=error\"";

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
pub struct PostgresSettings {
    pub url: String,
    pub owner_password: Secret,
    pub projector_password: Secret,
    pub engine_password: Secret,
    pub query_password: Secret,
    pub admin_url: Secret,
    pub admin_password: Secret,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub connections: u32,
    pub batch_records: usize,
    #[serde(with = "byte_size")]
    pub batch_bytes: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectorSettings {
    pub connections: u32,
    pub batch_records: usize,
    #[serde(with = "byte_size")]
    pub batch_bytes: usize,
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
pub struct BrokerSettings {
    #[serde(with = "address")]
    pub listen: SocketAddr,
    pub allow_remote: bool,
    pub advertised_host: String,
    pub data: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    pub port: u16,
    pub shared_buffers: String,
    pub prefer_system: bool,
}

impl Settings {
    /// The defaults, `file`, and this process's environment.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Self::load_from(file, environment())
    }

    /// As [`Settings::load`], but by default only warnings are logged.
    pub fn load_quiet(file: Option<&Path>) -> Result<Self> {
        let defaults = DEFAULTS.replacen("log = \"info\"", QUIET, 1);
        Self::load_layers(&defaults, file, environment())
    }

    /// As [`Settings::load`], with a given environment.
    pub fn load_from(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        Self::load_layers(DEFAULTS, file, variables)
    }

    fn load_layers(
        defaults: &str,
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut layers = Layers::new().defaults(defaults);
        if let Some(file) = file {
            layers = layers.file(file);
        }
        let settings: Self = layers
            .env_from(ENV_PREFIX, variables)
            .not_settings(FLAGS)
            .load()?;
        settings.check()?;
        Ok(settings)
    }

    /// What the rooms cannot see for themselves. They check the rest when they are
    /// made.
    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("engine.connections", self.engine.connections as usize),
            ("engine.batch_records", self.engine.batch_records),
            ("engine.batch_bytes", self.engine.batch_bytes),
            ("projector.connections", self.projector.connections as usize),
            ("projector.batch_records", self.projector.batch_records),
            ("projector.batch_bytes", self.projector.batch_bytes),
            ("query.connections", self.query.connections as usize),
            ("command.connections", self.command.connections as usize),
        ];
        for (key, found) in positive {
            if found == 0 {
                return Err(invalid(key, "0", "a number above 0"));
            }
        }
        self.command.operator_sha256()?;
        self.postgres.options()?;
        Ok(())
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

fn invalid(key: &str, found: &str, expected: &str) -> ConfigError {
    ConfigError::Invalid {
        key: key.to_owned(),
        problem: format!("found {found}, expected {expected}"),
        origin: None,
    }
}

impl CommandSettings {
    /// The hash of the operator's secret, when there is an operator.
    pub fn operator_sha256(&self) -> Result<Option<[u8; 32]>, ConfigError> {
        if self.operator_key_sha256.is_empty() {
            return Ok(None);
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.operator_key_sha256, &mut hash).map_err(|_| {
            invalid(
                "command.operator_key_sha256",
                &format!("{} characters", self.operator_key_sha256.len()),
                "64 hex digits, as `compline operator-key` prints them",
            )
        })?;
        Ok(Some(hash))
    }
}

impl PostgresSettings {
    /// As operators' tools enter the database of a running street.
    pub fn of_street(access: &DatabaseAccess) -> Self {
        Self {
            url: access.url.clone(),
            owner_password: Secret::new(&access.owner_password),
            projector_password: Secret::new(""),
            engine_password: Secret::new(""),
            query_password: Secret::new(&access.query_password),
            admin_url: Secret::new(""),
            admin_password: Secret::new(""),
        }
    }

    /// Never quotes the URL: people put passwords into URLs.
    fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        const EXPECTED: &str = "a URL such as postgres://127.0.0.1:5432/compline";
        let refuse = |found| invalid("postgres.url", found, EXPECTED);
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(refuse("no postgres:// at its beginning"));
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(refuse("a user in it, which each role has of its own"));
        }
        self.url
            .parse()
            .map_err(|_| refuse("something that is none"))
    }

    pub fn password(&self, role: Role) -> &Secret {
        match role {
            Role::Owner => &self.owner_password,
            Role::Projector => &self.projector_password,
            Role::Engine => &self.engine_password,
            Role::Query => &self.query_password,
        }
    }

    /// How each role of ours enters.
    pub fn database(&self) -> Result<Database> {
        let options = self.options()?;
        let settings = self.clone();
        Ok(Database::new(move |role| {
            let options = options.clone().username(role.as_str());
            match settings.password(role).expose() {
                // Whatever the server trusts: a client certificate, a socket's peer.
                "" => options,
                password => options.password(password),
            }
        }))
    }

    /// The database's name and the login that may make it.
    pub fn admin(&self) -> Result<Option<(PgConnectOptions, String)>> {
        if self.admin_url.is_empty() {
            return Ok(None);
        }
        let admin: PgConnectOptions = self
            .admin_url
            .expose()
            .parse()
            .map_err(|_| invalid("postgres.admin_url", "[redacted]", "a URL"))?;
        let admin = match self.admin_password.expose() {
            "" => admin,
            password => admin.password(password),
        };
        let options = self.options()?;
        let database = options
            .get_database()
            .context("configuration key `postgres.url`: it names no database")?;
        Ok(Some((admin, database.to_owned())))
    }
}
