//! The server that a test process shares among its tests.
//!
//! Each test has a runtime of its own, which ends with it; the server lives on a
//! thread that ends with the process. libtest tells nobody when that is, so it is
//! the cluster's watcher that stops Postgres then.
//!
//! Making a cluster takes seconds, and a folder that nobody removes at the end
//! would stay for ever. So the folders are kept, numbered, and used again: a
//! process takes the first that no other has.

use std::{fs, io, path::PathBuf, sync::OnceLock, thread, time::Duration};

use compline_cluster::{Cluster, ClusterConfig, ClusterError};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{mpsc, oneshot};

/// More test processes at once than a machine bears.
const FOLDERS: u32 = 64;

pub(super) struct Server {
    pub(super) superuser: PgConnectOptions,
    pub(super) port: u16,
    /// Databases that nobody needs any more.
    forgotten: mpsc::UnboundedSender<String>,
}

impl Server {
    pub(super) async fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();

        if let Some(server) = SHARED.get() {
            return server;
        }
        tokio::task::spawn_blocking(|| SHARED.get_or_init(Server::start))
            .await
            .expect("PostgreSQL starts")
    }

    fn start() -> Server {
        let (tell, told) = oneshot::channel();
        let (forgotten, forget) = mpsc::unbounded_channel();
        thread::Builder::new()
            .name("testkit-postgres".to_owned())
            .spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime can be made")
                    .block_on(run(tell, forget));
            })
            .expect("a thread can be started");
        let (superuser, port) = told.blocking_recv().expect("PostgreSQL starts");
        Server {
            superuser,
            port,
            forgotten,
        }
    }

    /// Drops a database, in a while.
    pub(super) fn forget(&self, database: &str) {
        // The thread ends only with the process.
        let _ = self.forgotten.send(database.to_owned());
    }
}

/// Until the process ends.
async fn run(
    tell: oneshot::Sender<(PgConnectOptions, u16)>,
    mut forget: mpsc::UnboundedReceiver<String>,
) {
    let cluster = take_a_cluster().await;
    let superuser: PgConnectOptions = cluster
        .url("postgres")
        .parse()
        .expect("the cluster gives a URL");
    let mut conn = PgConnection::connect_with(&superuser)
        .await
        .expect("the superuser may enter");
    for database in left_over(&mut conn).await {
        drop_database(&mut conn, &database).await;
    }
    let _ = tell.send((superuser, cluster.port()));
    while let Some(database) = forget.recv().await {
        drop_database(&mut conn, &database).await;
    }
}

async fn take_a_cluster() -> Cluster {
    // Postgres' user must be able to enter it, which rules out root's home.
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("compline-testkit-postgres-{user}"));
    for number in 0..FOLDERS {
        let data = folder.join(number.to_string());
        match start(&data).await {
            Ok(cluster) => return cluster,
            Err(ClusterError::InUse { .. }) => {}
            Err(error) => {
                // It does not sync: a crash of the machine may have ruined it.
                remove(&data).unwrap_or_else(|_| panic!("{error:?}"));
                let again = start(&data).await;
                return again.unwrap_or_else(|error| panic!("{error:?}"));
            }
        }
    }
    panic!(
        "all {FOLDERS} clusters under {} are in use",
        folder.display()
    );
}

async fn start(data: &PathBuf) -> Result<Cluster, ClusterError> {
    Cluster::start(ClusterConfig {
        prefer_system: true,
        lose_data_on_crash: true,
        shared_buffers: "64MB".to_owned(),
        max_connections: 400,
        start_timeout: Duration::from_secs(60),
        ..ClusterConfig::new(data)
    })
    .await
}

fn remove(data: &PathBuf) -> io::Result<()> {
    fs::remove_dir_all(data)
}

/// The databases of processes that had this cluster before.
async fn left_over(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(r"SELECT datname::text FROM pg_database WHERE datname LIKE 'test\_%'")
        .fetch_all(conn)
        .await
        .expect("databases can be listed")
}

async fn drop_database(conn: &mut PgConnection, name: &str) {
    let statement = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
    // If it does not go now, the next process tries again.
    let _ = sqlx::query(AssertSqlSafe(statement)).execute(conn).await;
}
