//! Why there is no Postgres.

use std::io;
use std::path::PathBuf;

/// Each says what to do about it, where the reader can do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Another process runs a cluster on this folder.
    #[error("a PostgreSQL is already running on {data}, held by another process")]
    InUse { data: PathBuf },
    /// The port that was asked for is not free.
    #[error("port {port} on 127.0.0.1 cannot be used: {source}; choose another, or 0 for any")]
    Port { port: u16, source: io::Error },
    /// Neither cached, nor fetched, nor found.
    #[error(
        "no PostgreSQL {wanted} to run: {fetch}; looked for one in {looked}; install PostgreSQL, or allow the download"
    )]
    NoBinaries {
        wanted: String,
        fetch: String,
        looked: String,
    },
    /// Running as root, and there is nobody else to run Postgres as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has no user `postgres` or `nobody`"
    )]
    NoAccount,
    /// The unprivileged user cannot enter a folder on the way.
    #[error(
        "user {account} cannot enter {folder}, which is on the way to {path}; allow it (chmod o+x {folder}) or choose another place",
        folder = folder.display(), path = path.display()
    )]
    Unreachable {
        account: String,
        folder: PathBuf,
        path: PathBuf,
    },
    /// The data folder points at a place that is gone.
    #[error("{pointer} says that the data is in {place}, which is not there", pointer = pointer.display(), place = place.display())]
    DataMissing { pointer: PathBuf, place: PathBuf },
    /// There are data, but not the password to them.
    #[error("{path} is missing, and the data cannot be opened without it", path = path.display())]
    PasswordMissing { path: PathBuf },
    #[error("{program} failed ({status}): {output}")]
    Program {
        program: &'static str,
        status: String,
        output: String,
    },
    /// Postgres ended before it was ready; `log_tail` is what it said last.
    #[error("PostgreSQL did not start; the end of {log}:\n{log_tail}", log = log.display())]
    NotStarted { log: PathBuf, log_tail: String },
    #[error("PostgreSQL was not ready within {seconds} s; the end of {log}:\n{log_tail}", log = log.display())]
    NotReady {
        seconds: u64,
        log: PathBuf,
        log_tail: String,
    },
    /// A former Postgres on the same data does not go away.
    #[error("a former PostgreSQL (process {pid}) still runs on this data after {seconds} s")]
    StillRunning { pid: i32, seconds: u64 },
    #[error("PostgreSQL did not stop within {seconds} s")]
    NotStopped { seconds: u64 },
    #[error("{doing} {path}: {source}", path = path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("database {database}: {source}")]
    Database {
        database: String,
        source: sqlx::Error,
    },
}

/// `result.map_err(io(doing, path))`
pub(crate) fn io(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.into();
    move |source| ClusterError::Io {
        doing,
        path,
        source,
    }
}
