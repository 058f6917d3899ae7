//! The whole street in one process, on one data folder.
//!
//! ```text
//! lock ─▶ ports ─▶ log, PostgreSQL ─▶ logins, topics, schemas ─▶ loops ─▶ doors ─▶ sample tenant ─▶ run file
//! ```
//!
//! A stop goes the other way round: doors, loops, stores. Everything in between is
//! safe to repeat, so a start after a kill at any point is a start.

mod doors;
mod log;
pub(crate) mod postgres;
mod sample;
mod steps;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use compline_api::key::ApiKey;
use compline_command::auth::operator_key;
use compline_projector::{PartitionState, Status};
use compline_readmodel::{
    Role,
    generation::{self, SCHEMA, schema_name},
};
use compline_runtime::Shutdown;
use metrics_exporter_prometheus::PrometheusHandle;
use time::OffsetDateTime;

use self::doors::Doors;
use crate::{
    config::Settings,
    process::Process,
    role::{ProjectionName, Rooms, migrate},
    street::{Addresses, DatabaseAccess, Lock, RunFile, Street, write_private},
};

pub use log::Stand;
pub use postgres::PostgresFacts;
pub use sample::OwnKey;
pub use steps::Steps;

/// How long the loops may take to own all partitions; a former process that was
/// killed is still a member of their groups until its session ends.
const OWNED_WITHIN: Duration = Duration::from_secs(60);

/// Why a start that was refused stops what it had begun; it says more when that is done.
pub const REFUSED: &str = "the log is another one";

/// A street that runs.
#[derive(Debug)]
pub struct Running {
    pub run_file: RunFile,
    pub postgres: PostgresFacts,
    pub own_key: OwnKey,
    /// Where ads are read at this start; a promote changes it.
    pub ads_schema: String,
    street: Street,
    process: Process,
    // Last, so that the folder is free only when everything has stopped.
    _lock: Lock,
}

/// Starts everything. `settings` says where the doors are and what the roles are
/// like, `stand` which log it is on; where the database is is decided here.
pub async fn start(
    street: &Street,
    stand: Stand,
    mut settings: Settings,
    shutdown: Shutdown,
    metrics: Option<PrometheusHandle>,
    steps: &Steps,
) -> Result<Running> {
    street.make_folder()?;
    let lock = street.lock()?;
    street.withdraw();
    let doors = Doors::bind(&settings, &stand, street).await?;
    let [ingress, query, command, admin] = doors.addresses()?;
    let process = Process::new(shutdown, settings.longest_drain());
    process.open_admin(doors.admin, metrics);

    drop(doors.kafka);
    let taken = stand.take(&mut settings, street, &process);
    let log_place = steps.step("log", taken).await?;
    let bootstrap = settings.log.bootstrap.clone();

    let cluster = postgres::config(&settings, street);
    let name = postgres::name_of_start(&cluster)?;
    drop(doors.postgres);
    let cluster = steps.step(&name, postgres::start(cluster)).await?;
    let facts = PostgresFacts::of(&cluster);
    let postgres_address = SocketAddr::from(([127, 0, 0, 1], cluster.port()));
    settings.postgres = postgres::settings(&cluster);
    write_private(
        &street.pgpass_file(),
        &postgres::pgpass(&settings.postgres, postgres_address),
    )?;
    postgres::watch(cluster, &process);
    let operator = load_operator_key(street)?;
    settings.command.operator_key_sha256 = hex::encode(operator.secret_sha256());

    let database = DatabaseAccess {
        url: settings.postgres.url.clone(),
        owner_password: settings.postgres.owner_password.expose().to_owned(),
        query_password: settings.postgres.query_password.expose().to_owned(),
    };
    let topic_prefix = settings.log.prefix.clone();
    let rooms = Rooms::new(settings)?;
    steps.step("logins", migrate::roles(&rooms)).await?;
    if let Err(refused) = log::settle(&rooms, street, &log_place).await {
        process.shutdown().begin(REFUSED);
        process.run().await?;
        return Err(refused);
    }
    steps.step("topics", migrate::topics(&rooms)).await?;
    steps.step("schemas", migrate::schemas(&rooms)).await?;

    let loops = start_loops(&rooms, &process);
    steps.step("engine and projectors", loops).await?;
    rooms.ingress(doors.ingress, &process)?;
    rooms.query(doors.query, &process).await;
    rooms.command(doors.command, &process).await?;
    let addresses = Addresses {
        ingress,
        query,
        command,
        admin,
        kafka: bootstrap,
        postgres: postgres_address,
    };
    let own_key = sample::ensure(street, &addresses, &operator);
    let own_key = steps.step("sample tenant", own_key).await?;
    let ads_schema = live_schema(&rooms, compline_ad_status::NAME).await?;

    let run_file = RunFile {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: OffsetDateTime::now_utc(),
        stopping: false,
        addresses,
        topic_prefix,
        database,
    };
    street.announce(&run_file)?;
    Ok(Running {
        run_file,
        postgres: facts,
        own_key,
        ads_schema,
        street: street.clone(),
        process,
        _lock: lock,
    })
}

impl Running {
    /// Runs until the shutdown begins or something fails; then everything stops.
    pub async fn run(self) -> Result<()> {
        let shutdown = self.shutdown();
        let told = async {
            shutdown.begun().await;
            self.street.announce_stop(self.run_file);
        };
        let (ended, ()) = tokio::join!(self.process.run(), told);
        self.street.withdraw();
        ended
    }

    pub fn shutdown(&self) -> Shutdown {
        self.process.shutdown().clone()
    }
}

async fn live_schema(rooms: &Rooms, projection: &str) -> Result<String> {
    let look_up = rooms.database.pool(Role::Projector, SCHEMA, 1);
    let generation = generation::live(&look_up, projection).await?;
    look_up.close().await;
    Ok(schema_name(projection, generation))
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
        // A generation that nobody reads may take its time.
        loops.extend(rooms.projector(name, process).await?.live());
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
            PartitionState::Running { .. }
                | PartitionState::Held { .. }
                | PartitionState::Waiting { .. }
                | PartitionState::Stopped { .. }
        )
    };
    !partitions.is_empty() && partitions.iter().all(|(_, _, state)| settled(state))
}
