//! A Postgres that can be killed, and brought back as it was some time ago.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline_cluster::{Cluster, ClusterConfig};
use compline_readmodel::{Database, Role, generation::SCHEMA};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

const DATABASE: &str = "compline";
const PASSWORD: &str = "soak";
const BACK: Duration = Duration::from_secs(60);

pub(crate) struct Postgres {
    config: ClusterConfig,
    cluster: Option<Cluster>,
    backup: Option<PathBuf>,
}

/// Where each checkpoint stands: projection, generation, topic, partition.
pub(crate) type Positions = BTreeMap<(String, i32, String, i32), i64>;

impl Postgres {
    pub(crate) async fn start(data: PathBuf, port: u16) -> Result<Self> {
        let mut config = ClusterConfig::new(data);
        config.port = port;
        config.prefer_system = true;
        config.max_connections = 400;
        config.shared_buffers = "64MB".to_owned();
        let mut postgres = Self {
            config,
            cluster: None,
            backup: None,
        };
        postgres.bring_back().await?;
        Ok(postgres)
    }

    /// Everything that a role needs to enter.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let password = || PASSWORD.to_owned();
        let superuser = self.cluster.as_ref().map(|cluster| cluster.url("postgres"));
        vec![
            ("COMPLINE_POSTGRES__URL", self.url()),
            ("COMPLINE_POSTGRES__OWNER_PASSWORD", password()),
            ("COMPLINE_POSTGRES__PROJECTOR_PASSWORD", password()),
            ("COMPLINE_POSTGRES__ENGINE_PASSWORD", password()),
            ("COMPLINE_POSTGRES__QUERY_PASSWORD", password()),
            (
                "COMPLINE_POSTGRES__ADMIN_URL",
                superuser.unwrap_or_default(),
            ),
        ]
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.config.port))
    }

    /// As found by who goes there by way of `address`.
    pub(crate) fn url_by(address: SocketAddr) -> String {
        format!("postgres://{address}/{DATABASE}")
    }

    fn url(&self) -> String {
        Self::url_by(self.address())
    }

    /// Every role's entrance leads to the owner, who sees all rows.
    pub(crate) fn database(&self) -> Database {
        let options: PgConnectOptions = self.url().parse().expect("a URL of our own");
        let options = options.username(Role::Owner.as_str()).password(PASSWORD);
        Database::new(move |_| options.clone())
    }

    /// SIGKILL of the postmaster: what it had committed in memory alone is gone.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let mut cluster = self.cluster.take().context("Postgres runs")?;
        let pid = Pid::from_raw(cluster.pid()).context("Postgres' process")?;
        kill_process(pid, Signal::KILL)?;
        cluster.ended().await;
        Ok(())
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        match self.cluster.take() {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }

    pub(crate) async fn bring_back(&mut self) -> Result<()> {
        self.cluster = Some(Cluster::start(self.config.clone()).await?);
        Ok(())
    }

    /// Keeps a copy of the stopped server's files.
    pub(crate) async fn back_up(&mut self) -> Result<()> {
        let files = self.files()?;
        self.stop().await?;
        let backup = files.with_file_name("backup");
        copy(&files, &backup).await?;
        self.backup = Some(backup);
        self.bring_back().await
    }

    /// Puts the copy in the place of everything since.
    pub(crate) async fn restore(&mut self) -> Result<()> {
        let files = self.files()?;
        let backup = self.backup.clone().context("a backup")?;
        self.stop().await?;
        copy(&backup, &files).await?;
        self.bring_back().await
    }

    fn files(&self) -> Result<PathBuf> {
        Ok(self.cluster.as_ref().context("Postgres runs")?.data_dir())
    }

    /// As soon as anybody is let in.
    pub(crate) async fn positions(&self) -> Result<Positions> {
        let options = self.database().options(Role::Owner, SCHEMA);
        let deadline = Instant::now() + BACK;
        let mut conn = loop {
            match PgConnection::connect_with(&options).await {
                Ok(conn) => break conn,
                Err(error) => ensure!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(1)).await;
        };
        let rows: Vec<(String, i32, String, i32, i64)> = sqlx::query_as(
            "SELECT projection, generation, topic, partition, next_offset FROM compline.checkpoint",
        )
        .fetch_all(&mut conn)
        .await?;
        conn.close().await?;
        let keyed = |(projection, generation, topic, partition, at)| {
            ((projection, generation, topic, partition), at)
        };
        Ok(rows.into_iter().map(keyed).collect())
    }
}

/// Whole, with its owner.
async fn copy(from: &Path, to: &Path) -> Result<()> {
    let script = r#"rm -rf "$2" && cp -a "$1" "$2""#;
    let copied = tokio::process::Command::new("sh")
        .args(["-c", script, "copy"])
        .args([from, to])
        .status()
        .await?;
    ensure!(copied.success(), "copying {}: {copied}", from.display());
    Ok(())
}
