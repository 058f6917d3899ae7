//! The gRPC client of the command-line tools: where the street is, which key to
//! show, and what a read must have seen.

mod freshness;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use compline_api::{
    command::{
        account_service_client::AccountServiceClient, api_key_service_client::ApiKeyServiceClient,
        notification_service_client::NotificationServiceClient,
        tenant_service_client::TenantServiceClient,
    },
    query::{
        Position, activity_service_client::ActivityServiceClient,
        ad_service_client::AdServiceClient, tenancy_service_client::TenancyServiceClient,
    },
};
use tonic::{
    Request, Status,
    codegen::http::Uri,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

pub use freshness::Freshness;

use crate::{
    config::Settings,
    street::{DEFAULT_FOLDER, Street},
};

/// A page of the API may hold 1,000 ads with their issues.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where to find the street and who calls.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The data folder of a street that runs on this machine
    #[arg(long, global = true, env = "COMPLINE_DATA", default_value = DEFAULT_FOLDER, value_name = "DIR")]
    pub data: PathBuf,

    /// A configuration file; see `compline config` for what may stand in it
    #[arg(long, global = true, env = "COMPLINE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The query service, such as http://127.0.0.1:7401 [default: the data folder's]
    #[arg(long, global = true, env = "COMPLINE_QUERY_URL", value_name = "URL")]
    pub query_url: Option<String>,

    /// The command service [default: the data folder's]
    #[arg(long, global = true, env = "COMPLINE_COMMAND_URL", value_name = "URL")]
    pub command_url: Option<String>,

    /// A file with the API key [default: $COMPLINE_API_KEY, else the data folder's]
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// The token of an answer, as `--token` reads it.
pub fn token_text(positions: &[Position]) -> String {
    let parts: Vec<String> = positions
        .iter()
        .map(|at| format!("{}/{}@{}", at.topic, at.partition, at.next_offset))
        .collect();
    parts.join(",")
}

/// For clap: `250ms`, `5s`, `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    compline_runtime::config::duration::parse(text)
        .ok_or_else(|| format!("{text:?} is not a duration such as 250ms, 5s or 1h30m"))
}

/// Calls with the caller's key.
pub type Keyed = InterceptedService<Channel, ShowKey>;

#[derive(Clone)]
pub struct ShowKey(MetadataValue<Ascii>);

impl std::fmt::Debug for ShowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ShowKey {
    pub fn new(key: &str) -> Result<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", key.trim())
            .parse()
            .map_err(|_| anyhow::anyhow!("the API key holds characters that no key has"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for ShowKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// One address with one key.
#[derive(Debug, Clone)]
pub struct Client {
    service: Keyed,
}

impl Client {
    /// # Errors
    /// On a URL that promises what is not kept: there is no TLS here, and a password
    /// in it would go nowhere.
    pub fn connect(url: &str, key: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .ok()
            .filter(|endpoint| is_plain(endpoint.uri()))
            .with_context(|| {
                format!(
                    "{} is not a URL such as http://127.0.0.1:7401; there is no TLS here, so \
                     reach a service elsewhere through a tunnel",
                    without_login(url)
                )
            })?
            .connect_timeout(CONNECT_TIMEOUT);
        Ok(Self {
            service: InterceptedService::new(endpoint.connect_lazy(), ShowKey::new(key)?),
        })
    }

    pub fn ads(&self) -> AdServiceClient<Keyed> {
        AdServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn activity(&self) -> ActivityServiceClient<Keyed> {
        ActivityServiceClient::new(self.service.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn tenancy(&self) -> TenancyServiceClient<Keyed> {
        TenancyServiceClient::new(self.service.clone())
    }

    pub fn tenants(&self) -> TenantServiceClient<Keyed> {
        TenantServiceClient::new(self.service.clone())
    }

    pub fn accounts(&self) -> AccountServiceClient<Keyed> {
        AccountServiceClient::new(self.service.clone())
    }

    pub fn api_keys(&self) -> ApiKeyServiceClient<Keyed> {
        ApiKeyServiceClient::new(self.service.clone())
    }

    pub fn notifications(&self) -> NotificationServiceClient<Keyed> {
        NotificationServiceClient::new(self.service.clone())
    }
}

impl Target {
    pub fn settings(&self) -> Result<Settings> {
        Settings::load(self.config.as_deref())
    }

    pub fn street(&self) -> Street {
        Street::at(&self.data)
    }

    /// Whether the street is the data folder's, and not one that a URL names.
    pub fn is_of_folder(&self) -> bool {
        self.query_url.is_none() && self.command_url.is_none()
    }

    /// The query service with the tenant's key.
    pub fn query(&self) -> Result<Client> {
        Client::connect(&self.query_url()?, &self.api_key()?)
    }

    /// The command service with the tenant's key.
    pub fn command(&self) -> Result<Client> {
        Client::connect(&self.command_url()?, &self.api_key()?)
    }

    /// The command service with the operator's key.
    pub fn operator(&self) -> Result<Client> {
        Client::connect(&self.command_url()?, &self.operator_key()?)
    }

    pub fn query_url(&self) -> Result<String> {
        match &self.query_url {
            Some(url) => Ok(url.clone()),
            None => Ok(format!(
                "http://{}",
                self.street().running()?.addresses.query
            )),
        }
    }

    pub fn command_url(&self) -> Result<String> {
        match &self.command_url {
            Some(url) => Ok(url.clone()),
            None => Ok(format!(
                "http://{}",
                self.street().running()?.addresses.command
            )),
        }
    }

    pub fn api_key(&self) -> Result<String> {
        self.key("COMPLINE_API_KEY", self.street().api_key_file())
    }

    pub fn operator_key(&self) -> Result<String> {
        self.key("COMPLINE_OPERATOR_KEY", self.street().operator_key_file())
    }

    fn key(&self, variable: &str, in_folder: PathBuf) -> Result<String> {
        let path = match (&self.key_file, std::env::var(variable)) {
            (Some(path), _) => path.clone(),
            (None, Ok(key)) if !key.trim().is_empty() => return Ok(key.trim().to_owned()),
            (None, _) => in_folder,
        };
        let key = fs::read_to_string(&path).with_context(|| {
            format!(
                "no key: cannot read {}; name one with --key-file or {variable}",
                path.display()
            )
        })?;
        anyhow::ensure!(!key.trim().is_empty(), "{} is empty", path.display());
        Ok(key.trim().to_owned())
    }
}

fn is_plain(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("@", |authority| authority.as_str());
    uri.scheme_str() == Some("http") && !authority.contains('@')
}

/// What stands before an @ may be a password.
fn without_login(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("[redacted]@{rest}"),
        None => url.to_owned(),
    }
}
