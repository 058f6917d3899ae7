//! The roles: each takes what it needs from the settings, and puts its tasks into
//! a process. `up` runs all of them in one, `compline <role>` one alone.

pub mod broker;
mod command;
mod door;
mod engine;
mod ingress;
pub mod migrate;
mod projector;
mod query;
pub mod reach;
mod ready;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use compline_activity::ActivityTrail;
use compline_ad_status::AdStatus;
use compline_eventlog::Log;
use compline_projector::{Board, Status};
use compline_query::TenantKeys;
use compline_readmodel::{Database, Reader, Role, Wakes, generation::SCHEMA};
use compline_tenancy::{KeyStore, Tenancy};
use tokio::{net::TcpListener, sync::OnceCell};

pub use self::door::{Door, Taken};
use crate::{
    config::{
        Settings,
        excerpt::{MORE, of_role},
    },
    process::Process,
};

/// What one process may run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    Broker,
    Ingress,
    Engine(EngineName),
    Projector(ProjectionName),
    Query,
    Command,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
pub enum EngineName {
    /// From webhooks to what is known of ads
    #[command(after_help = MORE, after_long_help = of_role(RoleName::Engine(EngineName::Ad)))]
    Ad,
}

/// Which projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProjectionName {
    AdStatus,
    Activity,
    Tenancy,
}

impl ProjectionName {
    pub const ALL: [ProjectionName; 3] = [
        ProjectionName::AdStatus,
        ProjectionName::Activity,
        ProjectionName::Tenancy,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            ProjectionName::AdStatus => compline_ad_status::NAME,
            ProjectionName::Activity => compline_activity::NAME,
            ProjectionName::Tenancy => compline_tenancy::NAME,
        }
    }
}

/// What roles are made of. Clones share connections.
#[derive(Debug, Clone)]
pub struct Rooms {
    pub settings: Arc<Settings>,
    pub log: Log,
    pub database: Database,
    /// One LISTEN for the whole process.
    wakes: Arc<OnceCell<Wakes>>,
}

impl Rooms {
    /// Connects when first used.
    pub fn new(settings: Settings) -> Result<Self> {
        Ok(Self {
            log: Log::new(settings.log.clone()).context("the log")?,
            database: settings.postgres.database()?,
            settings: Arc::new(settings),
            wakes: Arc::default(),
        })
    }

    /// Opens the door for webhooks.
    pub fn ingress(&self, listener: TcpListener, process: &Process) -> Result<()> {
        ingress::start(self, listener, process)
    }

    /// Opens the query service.
    pub async fn query(&self, listener: TcpListener, process: &Process) {
        query::start(self, listener, process).await;
    }

    /// Opens the command service.
    pub async fn command(&self, listener: TcpListener, process: &Process) -> Result<()> {
        command::start(self, listener, process).await
    }

    pub fn ad_engine(&self, process: &Process) -> Status {
        engine::start(self, process)
    }

    pub async fn projector(&self, name: ProjectionName, process: &Process) -> Result<Board> {
        match name {
            ProjectionName::AdStatus => projector::start::<AdStatus>(self, process).await,
            ProjectionName::Activity => projector::start::<ActivityTrail>(self, process).await,
            ProjectionName::Tenancy => projector::start::<Tenancy>(self, process).await,
        }
    }

    /// Reads `projection` with at most `connections`.
    async fn reader(&self, projection: &'static str, connections: u32) -> Reader {
        let wakes = self
            .wakes
            .get_or_init(|| async { Wakes::start(self.database.pool(Role::Query, SCHEMA, 1)) })
            .await;
        Reader::new(
            projection,
            self.database.clone(),
            wakes.clone(),
            connections,
        )
    }

    /// Tenants' keys, looked up with at most `connections`.
    async fn tenant_keys(&self, connections: u32) -> TenantKeys {
        let tenancy = self.reader(compline_tenancy::NAME, connections).await;
        TenantKeys::new(KeyStore::new(tenancy))
    }
}
