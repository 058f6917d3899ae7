//! A street as it stands on several machines: every role a process of its own, two of
//! each, beside a log and a Postgres that are processes as well. Whoever is dead is
//! started again, as an orchestrator would.

pub(crate) mod instance;
pub(crate) mod postgres;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline::client::Client;
use compline_api::command::{ConnectAccountRequest, CreateTenantRequest};
use compline_eventlog::{Log, LogConfig};
use compline_readmodel::Database;
use rand::Rng as _;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::{
    instance::{Instance, Variables},
    postgres::Postgres,
};
use crate::house;

/// Of each role.
pub(crate) const INSTANCES: usize = 2;

/// Which they are, how one is called, and what says where it listens.
const ROLES: [(&str, &[&str], Option<&str>); 7] = [
    (
        "ingress",
        &["ingress"],
        Some("COMPLINE_INGRESS__HTTP__LISTEN"),
    ),
    ("engine", &["engine", "ad"], None),
    ("ad-status", &["projector", "ad-status"], None),
    ("activity", &["projector", "activity"], None),
    ("tenancy", &["projector", "tenancy"], None),
    ("query", &["query"], Some("COMPLINE_QUERY__GRPC__LISTEN")),
    (
        "command",
        &["command"],
        Some("COMPLINE_COMMAND__GRPC__LISTEN"),
    ),
];

const READY: Duration = Duration::from_secs(120);
const TEND: Duration = Duration::from_millis(20);

/// Where an instance finds log and Postgres.
pub(crate) struct Origins<'a> {
    pub(crate) log: SocketAddr,
    pub(crate) postgres: &'a Postgres,
}

pub(crate) struct Town {
    /// Role by role; two of each, unless it was founded otherwise.
    pub(crate) instances: Vec<Instance>,
    /// Absent where a cluster keeps the log.
    pub(crate) broker: Option<Instance>,
    pub(crate) postgres: Postgres,
    pub(crate) log: Log,
    pub(crate) database: Database,
    operator_key: String,
    _folder: TempDir,
}

impl Town {
    /// On a log of its own, or on the cluster at `kafka`; everything runs.
    pub(crate) async fn found(kafka: Option<&str>) -> Result<Self> {
        Self::found_with(kafka, INSTANCES, async |_, _| Ok(Variables::new())).await
    }

    /// So many of each role, each with settings of its own besides, by its name.
    pub(crate) async fn found_with(
        kafka: Option<&str>,
        of_each: usize,
        mut own: impl AsyncFnMut(&'static str, &Origins<'_>) -> Result<Variables>,
    ) -> Result<Self> {
        let folder = house::folder();
        let postgres = Postgres::start(folder.path().join("postgres"), port()?).await?;
        let log_address = SocketAddr::from(([127, 0, 0, 1], port()?));
        let bootstrap = kafka.map_or_else(|| log_address.to_string(), str::to_owned);
        let operator = compline_command::auth::operator_key();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs)?;

        let mut common = Variables::new();
        let mut set = |key: &str, value: String| common.push((key.to_owned(), value));
        set("COMPLINE_TELEMETRY__LOG", "info".to_owned());
        set("COMPLINE_LOG__BOOTSTRAP", bootstrap.clone());
        set(
            "COMPLINE_COMMAND__OPERATOR_KEY_SHA256",
            hex::encode(operator.secret_sha256()),
        );
        for (key, value) in postgres.variables() {
            set(key, value);
        }
        if kafka.is_some() {
            set("COMPLINE_LOG__REPLICATION", "3".to_owned());
        }

        let broker = match kafka {
            Some(_) => None,
            None => {
                let mut own = common.clone();
                let data = folder.path().join("log").display().to_string();
                own.push(("COMPLINE_BROKER__DATA".to_owned(), data));
                let listen = Some(("COMPLINE_BROKER__LISTEN", log_address));
                Some(Instance::new("broker", &["broker"], own, listen, &logs)?)
            }
        };
        let origins = Origins {
            log: log_address,
            postgres: &postgres,
        };
        let mut instances = Vec::new();
        for (name, arguments, listens) in ROLES {
            for _ in 0..of_each {
                let address = SocketAddr::from(([127, 0, 0, 1], port()?));
                let listen = listens.map(|variable| (variable, address));
                let mut variables = common.clone();
                // The last word counts.
                variables.extend(own(name, &origins).await?);
                instances.push(Instance::new(name, arguments, variables, listen, &logs)?);
            }
        }
        let mut town = Self {
            instances,
            broker,
            log: Log::new(LogConfig::new(bootstrap))?,
            database: postgres.database(),
            postgres,
            operator_key: operator.reveal(),
            _folder: folder,
        };
        if let Some(broker) = &mut town.broker {
            broker.start()?;
            broker.ready(READY).await?;
        }
        instance::run_to_end(&["migrate"], &common).await?;
        for instance in &mut town.instances {
            instance.start()?;
        }
        town.ready().await?;
        Ok(town)
    }

    /// Until everybody says so.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY;
        for index in 0..self.instances.len() {
            while !self.instances[index].is_ready().await {
                let instance = &self.instances[index];
                ensure!(
                    Instant::now() < deadline,
                    "{} does not get ready:\n{}",
                    instance.name,
                    instance.last_words()
                );
                self.rest(TEND).await?;
            }
        }
        Ok(())
    }

    /// Starts whoever is dead and due, for so long.
    pub(crate) async fn rest(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            for instance in self.everybody() {
                instance.tend()?;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(TEND)).await;
        }
    }

    pub(crate) fn everybody(&mut self) -> impl Iterator<Item = &mut Instance> {
        self.broker.iter_mut().chain(&mut self.instances)
    }

    pub(crate) fn all_of(&mut self, name: &str) -> impl Iterator<Item = &mut Instance> {
        self.instances
            .iter_mut()
            .filter(move |instance| instance.name == name)
    }

    /// `http://…` of each instance of a role.
    pub(crate) fn doors(&self, name: &str) -> Vec<String> {
        let named = self.instances.iter().filter(|each| each.name == name);
        named.filter_map(Instance::url).collect()
    }

    /// A client of each instance of a role.
    pub(crate) fn clients(&self, name: &str, key: &str) -> Result<Vec<Client>> {
        let doors = self.doors(name).into_iter();
        doors.map(|door| Client::connect(&door, key)).collect()
    }

    /// A new tenant's key.
    pub(crate) async fn tenant(&self, name: &str) -> Result<String> {
        let operator = &self.clients("command", &self.operator_key)?[0];
        let request = CreateTenantRequest {
            request_id: Uuid::now_v7().to_string(),
            display_name: name.to_owned(),
        };
        let made = operator.tenants().create_tenant(request).await;
        Ok(made.context("creating a tenant")?.into_inner().api_key)
    }

    /// Accounts that a tenant watches; the first of them is watched by two.
    pub(crate) async fn audience(&self, accounts: usize) -> Result<(Vec<String>, Vec<String>)> {
        let accounts: Vec<String> = (0..accounts).map(|index| format!("71{index}000")).collect();
        let mut keys = Vec::new();
        for (name, watched) in [("One", &accounts[..]), ("Other", &accounts[..1])] {
            let key = self.tenant(name).await?;
            for account in watched {
                let client = &self.clients("command", &key)?[0];
                let request = ConnectAccountRequest {
                    request_id: Uuid::now_v7().to_string(),
                    ad_account_id: account.clone(),
                    ..Default::default()
                };
                client.accounts().connect_account(request).await?;
            }
            keys.push(key);
        }
        Ok((accounts, keys))
    }

    /// Everybody stops in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for instance in self.instances.iter_mut().chain(&mut self.broker) {
            instance.stop().await?;
        }
        self.postgres.stop().await
    }
}

/// One below those that the kernel gives to connections: it must still be free when
/// who listens on it comes back from the dead.
pub(crate) fn port() -> Result<u16> {
    for _ in 0..1_000 {
        let port = rand::rng().random_range(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

/// What a process said last.
fn tail(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
