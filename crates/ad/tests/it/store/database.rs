//! A schema of its own for each test, in one Postgres for all that run at once.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use compline_ad::AdEngine;
use compline_cluster::{Cluster, ClusterConfig};
use compline_engine::Engine;
use compline_readmodel::role::bootstrap;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};
use tempfile::TempDir;
use tokio::sync::Mutex;

pub(super) const PASSWORD: &str = "of a throw-away database";

static SERVER: Mutex<Weak<Server>> = Mutex::const_new(Weak::new());

/// Stops, and leaves nothing behind, when its last test ends.
struct Server {
    cluster: Cluster,
    _folder: TempDir,
    schemas: AtomicU32,
}

pub(super) struct Database {
    server: Arc<Server>,
    schema: String,
}

impl Database {
    pub(super) async fn new() -> anyhow::Result<Self> {
        let server = Server::get().await?;
        let schema = format!(
            "engine_ad_{}",
            server.schemas.fetch_add(1, Ordering::Relaxed)
        );
        let mut owner = PgConnection::connect_with(&server.owner(&schema)?).await?;
        let create =
            format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO compline_engine");
        owner.execute(AssertSqlSafe(create)).await?;
        AdEngine::migrator().run(&mut owner).await?;
        owner.close().await?;
        Ok(Self { server, schema })
    }

    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options: PgConnectOptions = self.server.cluster.url("compline").parse()?;
        let options = super::engine_role(options, &self.schema);
        Ok(PgConnection::connect_with(&options).await?)
    }
}

impl Server {
    async fn get() -> anyhow::Result<Arc<Self>> {
        let mut shared = SERVER.lock().await;
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let folder = tempfile::Builder::new()
            .prefix("compline-ad-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()?;
        let mut config = ClusterConfig::new(folder.path());
        config.prefer_system = true;
        config.lose_data_on_crash = true;
        let cluster = Cluster::start(config).await?;
        let admin: PgConnectOptions = cluster.url("postgres").parse()?;
        bootstrap(&admin, "compline", |_| PASSWORD.to_owned()).await?;
        let server = Arc::new(Self {
            cluster,
            _folder: folder,
            schemas: AtomicU32::new(0),
        });
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    fn owner(&self, schema: &str) -> anyhow::Result<PgConnectOptions> {
        let options: PgConnectOptions = self.cluster.url("compline").parse()?;
        Ok(options
            .username("compline_owner")
            .password(PASSWORD)
            .options([("search_path", schema)]))
    }
}
