//! A running private PostgreSQL.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::initdb::{self, SUPERUSER};
use crate::place::Place;
use crate::postmaster::{self, Postmaster};
use crate::{ClusterConfig, ClusterError, log, settings};

/// Starts lost to a port that someone took meanwhile, or to a dead server's children that still
/// hold its memory, are tried again.
const ATTEMPTS: u32 = 10;

/// Stops when it is dropped; prefer [`Cluster::stop`], which says whether that went well.
pub struct Cluster {
    place: Place,
    port: u16,
    password: String,
    version: String,
    programs: PathBuf,
    postmaster: Postmaster,
    _log: log::Bound,
    // Last, so that the folder is free only when the server has gone.
    _lock: File,
}

impl Cluster {
    /// Finds or fetches binaries, initialises an empty folder, and starts the server; returns when
    /// it takes connections. Must be called inside a Tokio runtime.
    pub async fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        let account = Account::choose()?;
        let place = Place::prepare(&config, &account)?;
        let lock = place.lock()?;
        let pgdata = place.pgdata();
        postmaster::clear_former(&pgdata).await?;
        let major = initdb::existing_major(&place)?;
        let binaries = Binaries::obtain(&config, &account, major).await?;
        if major.is_none() {
            let sync = !config.lose_data_on_crash;
            let (place, binaries, account) = (place.clone(), binaries.clone(), account.clone());
            // It takes seconds on a slow disk.
            tokio::task::spawn_blocking(move || {
                initdb::initialise(&place, &binaries, &account, sync)
            })
            .await
            .expect("it does not panic, and nobody aborts it")?;
        }
        let password = initdb::password(&place)?;
        let (postmaster, port) = start(&config, &place, &binaries, &account).await?;
        tracing::info!(
            version = binaries.version, port, user = account.name(), data = %pgdata.display(),
            "PostgreSQL is running"
        );
        Ok(Self {
            _log: log::Bound::new(place.log()),
            place,
            port,
            password,
            version: binaries.version,
            programs: binaries.bin,
            postmaster,
            _lock: lock,
        })
    }

    /// `postgres://…` for the superuser; it holds the password.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &'static str {
        SUPERUSER
    }

    /// The superuser's password; also in `<data>/password`, mode 0600.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server's version: `18.4`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the server's programs are.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Where Postgres' own files are: in the data folder, or, where Postgres' user could not have
    /// reached them there, under `/var/lib/<name>`.
    pub fn data_dir(&self) -> PathBuf {
        self.place.pgdata()
    }

    /// Postgres' log.
    pub fn log_file(&self) -> PathBuf {
        self.place.log()
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.postmaster.pid
    }

    /// Makes a database unless there is one of that name.
    pub async fn create_database(&self, name: &str) -> Result<(), ClusterError> {
        self.try_create_database(name)
            .await
            .map_err(|source| ClusterError::Database {
                database: name.to_owned(),
                source,
            })
    }

    async fn try_create_database(&self, name: &str) -> Result<(), sqlx::Error> {
        let options: sqlx::postgres::PgConnectOptions = self.url("postgres").parse()?;
        let mut connection = options.disable_statement_logging().connect().await?;
        let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            // A name cannot be a parameter; quoted, it can be anything.
            let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&mut connection)
                .await?;
        }
        connection.close().await
    }

    /// Returns when the server has ended on its own; what it said is in the log.
    pub async fn ended(&mut self) {
        while !self.postmaster.has_ended() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Fast shutdown: open sessions are ended, everything is written out.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        self.postmaster.stop().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.postmaster.stop_blocking();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("place", &self.place)
            .field("port", &self.port)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

async fn start(
    config: &ClusterConfig,
    place: &Place,
    binaries: &Binaries,
    account: &Account,
) -> Result<(Postmaster, u16), ClusterError> {
    let (pgdata, log) = (place.pgdata(), place.log());
    let mut attempt = 1;
    loop {
        let port = free_port(config.port)?;
        let written = fs::metadata(&log).map_or(0, |log| log.len());
        let arguments = settings::arguments(config, port);
        let mut postmaster = Postmaster::spawn(place, binaries, account, &arguments)?;
        match postmaster.ready(&pgdata, config.start_timeout).await {
            Some(true) => return Ok((postmaster, port)),
            Some(false) => {
                let log_tail = log::tail(&log, written);
                if attempt == ATTEMPTS || !passes(&log_tail, config.port) {
                    return Err(ClusterError::NotStarted { log, log_tail });
                }
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            None => {
                postmaster.stop_blocking();
                return Err(ClusterError::NotReady {
                    seconds: config.start_timeout.as_secs(),
                    log_tail: log::tail(&log, written),
                    log,
                });
            }
        }
    }
}

/// Whether a failed start may go better in a moment.
fn passes(log_tail: &str, asked_port: u16) -> bool {
    let port_lost = asked_port == 0 && log_tail.contains("could not bind");
    port_lost || log_tail.contains("still in use")
}

/// Finds a free port, or says now, and by name, that the one asked for is not.
fn free_port(asked: u16) -> Result<u16, ClusterError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, asked))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ClusterError::Port {
            port: asked,
            source,
        })
}
