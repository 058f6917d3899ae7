//! The whole street in one process, on one data folder.
//!
//! ```text
//! lock ─▶ log, PostgreSQL ─▶ topics, logins, schemas ─▶ loops ─▶ doors ─▶ sample tenant ─▶ run file
//! ```
//!
//! A stop goes the other way round: doors, loops, stores. Everything in between is
//! safe to repeat, so a start after a kill at any point is a start.

mod sample;
mod steps;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use compline_api::key::ApiKey;
use compline_cluster::{Cluster, ClusterConfig};
use compline_command::auth::operator_key;
use compline_projector::{PartitionState, Status};
use compline_runtime::{Secret, Shutdown};
use metrics_exporter_prometheus::PrometheusHandle;
use time::OffsetDateTime;

use crate::{
    config::{PostgresSettings, Settings},
    process::Process,
    role::{ProjectionName, Rooms, broker, migrate},
    street::{Addresses, DatabaseAccess, Lock, RunFile, Street, write_private},
};

pub use sample::Sample;
pub use steps::Steps;

const DATABASE: &str = "compline";

/// How long the loops may take to own all partitions; a former process that was
/// killed is still a member of their groups until its session ends.
const OWNED_WITHIN: Duration = Duration::from_secs(60);

/// A street that runs.
#[derive(Debug)]
pub struct Running {
    pub run_file: RunFile,
    pub postgres: PostgresFacts,
    /// Absent when the folder had a key already.
    pub sample: Option<Sample>,
    street: Street,
    process: Process,
    // Last, so that the folder is free only when everything has stopped.
    _lock: Lock,
}

/// What is worth telling of the private database.
#[derive(Debug, Clone)]
pub struct PostgresFacts {
    pub version: String,
    pub data: PathBuf,
}

/// Starts everything. `settings` says where the doors are and what the roles are
/// like; where the log and the database are is decided here.
pub async fn start(
    street: &Street,
    mut settings: Settings,
    shutdown: Shutdown,
    metrics: Option<PrometheusHandle>,
    steps: &Steps,
) -> Result<Running> {
    street.make_folder()?;
    let lock = street.lock()?;
    street.withdraw();
    let process = Process::new(shutdown);
    let admin = process.open_admin(settings.admin.listen, metrics).await?;

    let log = broker::start(&settings.broker, street.log_folder(), &process);
    let log = steps.step("log", log).await?;
    settings.log.bootstrap.clone_from(&log.bootstrap);
    settings.log.replication = 1;
    settings.log.properties.clear();

    let name = match street.postgres_folder().exists() {
        true => "PostgreSQL",
        false => "PostgreSQL (the first start fetches 60 MB, unless some start has)",
    };
    let cluster = start_postgres(&settings, street);
    let cluster = steps.step(name, cluster).await?;
    let postgres = PostgresFacts {
        version: cluster.version().to_owned(),
        data: cluster.data_dir(),
    };
    let postgres_address = SocketAddr::from(([127, 0, 0, 1], cluster.port()));
    settings.postgres = private_database(&cluster);
    write_private(&street.pgpass_file(), &pgpass(&settings, postgres_address))?;
    watch_postgres(cluster, &process);
    let operator = load_operator_key(street)?;
    settings.command.operator_key_sha256 = hex::encode(operator.secret_sha256());

    let database = DatabaseAccess {
        url: settings.postgres.url.clone(),
        owner_password: settings.postgres.owner_password.expose().to_owned(),
        query_password: settings.postgres.query_password.expose().to_owned(),
    };
    let topic_prefix = settings.log.prefix.clone();
    let rooms = Rooms::new(settings)?;
    steps.step("topics", migrate::topics(&rooms)).await?;
    steps.step("logins", migrate::roles(&rooms)).await?;
    steps.step("schemas", migrate::schemas(&rooms)).await?;

    let loops = start_loops(&rooms, &process);
    steps.step("engine and projectors", loops).await?;
    let addresses = Addresses {
        ingress: rooms.ingress(&process).await?,
        query: rooms.query(&process).await?,
        command: rooms.command(&process).await?,
        admin,
        kafka: log.bootstrap,
        postgres: postgres_address,
    };
    let sample = sample::ensure(street, addresses.command, &operator);
    let sample = steps.step("sample tenant", sample).await?;

    let run_file = RunFile {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: OffsetDateTime::now_utc(),
        addresses,
        topic_prefix,
        database,
    };
    street.announce(&run_file)?;
    Ok(Running {
        run_file,
        postgres,
        sample,
        street: street.clone(),
        process,
        _lock: lock,
    })
}

impl Running {
    /// Runs until the shutdown begins or something fails; then everything stops.
    pub async fn run(self) -> Result<()> {
        let ended = self.process.run().await;
        self.street.withdraw();
        ended
    }

    pub fn shutdown(&self) -> Shutdown {
        self.process.shutdown().clone()
    }
}

async fn start_postgres(settings: &Settings, street: &Street) -> Result<Cluster> {
    let mut config = ClusterConfig::new(street.postgres_folder());
    config.name = "compline".to_owned();
    config.port = settings.cluster.port;
    config
        .shared_buffers
        .clone_from(&settings.cluster.shared_buffers);
    config.prefer_system |= settings.cluster.prefer_system;
    Cluster::start(config).await.context("the private database")
}

/// Passwords for this run only: nobody has to keep them.
fn private_database(cluster: &Cluster) -> PostgresSettings {
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
fn pgpass(settings: &Settings, at: SocketAddr) -> String {
    let postgres = &settings.postgres;
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

fn watch_postgres(mut cluster: Cluster, process: &Process) {
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

/// Made at the first start.
fn load_operator_key(street: &Street) -> Result<ApiKey> {
    let path = street.operator_key_file();
    match std::fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .with_context(|| format!("{}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = operator_key();
            write_private(&path, &format!("{}\n", key.reveal()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Starts engine and projectors, and waits until they own what they read: a
/// command's verdict, and so the sample tenant, hangs on them.
async fn start_loops(rooms: &Rooms, process: &Process) -> Result<()> {
    let mut loops = vec![rooms.ad_engine(process)];
    for name in ProjectionName::ALL {
        loops.push(rooms.projector(name, process).await?);
    }
    let owned = async {
        while !loops.iter().all(owns_its_partitions) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(OWNED_WITHIN, owned).await.is_err() {
        tracing::warn!("engine and projectors do not own all partitions yet; going on");
    }
    Ok(())
}

fn owns_its_partitions(status: &Status) -> bool {
    let partitions = status.partitions();
    let settled = |state: &PartitionState| {
        matches!(
            state,
            PartitionState::Running { .. } | PartitionState::Stopped { .. }
        )
    };
    !partitions.is_empty() && partitions.iter().all(|(_, _, state)| settled(state))
}
