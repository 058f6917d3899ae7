//! A log and a database of the measurement's own, as `compline up` runs them, in a
//! folder that goes when they go.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use compline_broker::{Broker, BrokerConfig, RunningBroker};
use compline_cluster::{Cluster, ClusterConfig};
use compline_event::Topic;
use compline_eventlog::{Log, LogConfig, TopicSpec};
use compline_readmodel::{Database, generation, role};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use crate::measure::processor_seconds_of_family;

const DATABASE: &str = "compline";

/// A folder that Postgres' user may enter as well.
pub(crate) fn folder(within: &Path) -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("compline-benches-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(within);
    folder.with_context(|| format!("a folder in {}", within.display()))
}

/// The embedded broker with every topic.
#[derive(Debug)]
pub(crate) struct OwnLog {
    broker: RunningBroker,
    pub(crate) log: Log,
}

impl OwnLog {
    pub(crate) async fn open(folder: &TempDir) -> Result<Self> {
        let broker = Broker::open(BrokerConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            ..BrokerConfig::new(folder.path().join("log"))
        });
        let broker = broker.await?.start();
        let log = Log::new(LogConfig::new(broker.bootstrap()))?;
        log.ensure_topics().await?;
        Ok(Self { broker, log })
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.broker.bootstrap()
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.broker.stop().await?)
    }
}

/// The private Postgres with its roles and the protocol's own tables.
#[derive(Debug)]
pub(crate) struct OwnDatabase {
    cluster: Cluster,
    pub(crate) database: Database,
    superuser: PgConnectOptions,
}

impl OwnDatabase {
    pub(crate) async fn open(folder: &TempDir) -> Result<Self> {
        let cluster = Cluster::start(ClusterConfig::new(folder.path().join("postgres"))).await?;
        let admin: PgConnectOptions = cluster.url("postgres").parse()?;
        let password = || cluster.password().to_owned();
        role::bootstrap(&admin, DATABASE, |_| password()).await?;
        let superuser = admin.database(DATABASE);
        let (options, password) = (superuser.clone(), password());
        let database =
            Database::new(move |role| options.clone().username(role.as_str()).password(&password));
        generation::migrate(&database).await?;
        Ok(Self {
            cluster,
            database,
            superuser,
        })
    }

    pub(crate) fn version(&self) -> &str {
        self.cluster.version()
    }

    /// Where a peer finds it, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.cluster.port()
    }

    pub(crate) fn name(&self) -> &'static str {
        DATABASE
    }

    /// Of every role.
    pub(crate) fn password(&self) -> &str {
        self.cluster.password()
    }

    /// As the superuser.
    pub(crate) fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// The processor time that Postgres has used.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_seconds_of_family(self.cluster.pid())
    }

    /// Above row level security.
    pub(crate) async fn superuser(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.superuser).await?)
    }

    pub(crate) fn superuser_options(&self) -> PgConnectOptions {
        self.superuser.clone()
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.cluster.stop().await?)
    }
}

pub(crate) fn partitions_of(topic: Topic) -> u32 {
    TopicSpec::of(topic).partitions
}
