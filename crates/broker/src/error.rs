use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinError;

/// Why a broker did not open, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("setting {key} cannot be {found}")]
    Config { key: &'static str, found: String },
    #[error("{bind} is not a loopback address, and remote clients are not allowed")]
    NotLoopback { bind: SocketAddr },
    #[error("cannot listen on {bind}")]
    Bind { bind: SocketAddr, source: io::Error },
    #[error("{path} is in use by another broker", path = path.display())]
    InUse { path: PathBuf },
    #[error("{path} holds format {found}, this program knows format {known}", path = path.display())]
    Format {
        path: PathBuf,
        found: String,
        known: u32,
    },
    /// What is on disk is not what was synced there. Nothing is cut or skipped: that is for a
    /// person to decide.
    #[error("{path} is corrupt at byte {position}: {what}", path = path.display())]
    Corrupt {
        path: PathBuf,
        position: u64,
        what: String,
    },
    /// After a failed sync nobody knows what is on disk, so the broker stops.
    #[error("cannot sync {path}", path = path.display())]
    Sync { path: PathBuf, source: io::Error },
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("a task of the broker panicked or was aborted")]
    Task { source: JoinError },
    #[error("the broker ended without being told")]
    Ended,
    /// What others were told as well.
    #[error(transparent)]
    Shared(Arc<Error>),
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// For a line of a log, which says of an error alone what it says itself, and not why.
    pub(crate) fn with_sources(&self) -> &(dyn StdError + 'static) {
        self
    }

    pub(crate) fn corrupt(path: &Path, position: u64, what: impl Into<String>) -> Error {
        Error::Corrupt {
            path: path.to_owned(),
            position,
            what: what.into(),
        }
    }
}
