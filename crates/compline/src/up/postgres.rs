//! The private database: its settings from ours, passwords for one run, its end.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use compline_cluster::{Cluster, ClusterConfig, Outlook};
use compline_runtime::Secret;

use crate::{
    config::{PostgresSettings, Settings},
    process::Process,
    street::Street,
};

const DATABASE: &str = "compline";

/// For wake-ups, look-ups, the tools, and whoever looks in with psql.
const CONNECTIONS_BESIDE: u32 = 30;

/// What is worth telling of it.
#[derive(Debug, Clone)]
pub struct PostgresFacts {
    pub version: String,
    pub programs: PathBuf,
    pub data: PathBuf,
}

impl PostgresFacts {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self {
            version: cluster.version().to_owned(),
            programs: cluster.programs().to_owned(),
            data: cluster.data_dir(),
        }
    }
}

pub(crate) fn config(settings: &Settings, street: &Street) -> ClusterConfig {
    let mut config = ClusterConfig::new(street.postgres_folder());
    config.name = "compline".to_owned();
    config.port = settings.cluster.port;
    config.shared_buffers = format!("{}kB", settings.cluster.shared_buffers / 1024);
    config.max_connections = settings.most_connections() + CONNECTIONS_BESIDE;
    config.prefer_system |= settings.cluster.prefer_system;
    config
}

/// What the start is called while people wait for it.
pub(super) fn name_of_start(config: &ClusterConfig) -> Result<String> {
    let outlook = Outlook::of(config).context("the private database")?;
    Ok(match outlook {
        Outlook::Found { version, .. } => format!("PostgreSQL {version}"),
        Outlook::Fetch { cache } => {
            let cache = cache.display();
            format!("PostgreSQL, fetched into {cache} (60 MB, once for all data folders)")
        }
    })
}

pub(crate) async fn start(config: ClusterConfig) -> Result<Cluster> {
    Cluster::start(config).await.context("the private database")
}

/// Passwords for this run only: nobody has to keep them.
pub(crate) fn settings(cluster: &Cluster) -> PostgresSettings {
    let password = || Secret::new(hex::encode(rand::random::<[u8; 24]>()));
    PostgresSettings {
        url: format!("postgres://127.0.0.1:{}/{DATABASE}", cluster.port()),
        owner_password: password(),
        projector_password: password(),
        engine_password: password(),
        query_password: password(),
        admin_url: Secret::new(cluster.url("postgres")),
        admin_password: Secret::new(""),
    }
}

/// libpq's password file, for psql and its like.
pub(super) fn pgpass(postgres: &PostgresSettings, at: SocketAddr) -> String {
    let mut text = String::new();
    for (role, password) in [
        ("compline_query", &postgres.query_password),
        ("compline_owner", &postgres.owner_password),
    ] {
        let (host, port, password) = (at.ip(), at.port(), password.expose());
        text.push_str(&format!("{host}:{port}:{DATABASE}:{role}:{password}\n"));
    }
    text
}

pub(crate) fn watch(mut cluster: Cluster, process: &Process) {
    let check = process.health.register("postgres");
    process.stores.spawn("postgres", |stop| async move {
        check.ready();
        let ended = tokio::select! {
            () = stop.cancelled() => false,
            () = cluster.ended() => true,
        };
        if ended {
            anyhow::bail!("it ended; its log is {}", cluster.log_file().display());
        }
        Ok(cluster.stop().await?)
    });
}
