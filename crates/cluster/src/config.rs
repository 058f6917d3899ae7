//! What a cluster is made from.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Make one with [`ClusterConfig::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The data folder, made if it is not there. Give it a folder of its own.
    pub data: PathBuf,
    /// The port on 127.0.0.1; 0 chooses a free one at each start. Default 0.
    pub port: u16,
    /// The program's name: part of the folders outside `data` (caches, and data that root's
    /// unprivileged user cannot reach, see `data_dir`). Default `private-postgres`.
    pub name: String,
    /// Where fetched binaries are kept, for all data folders together. Default: `<name>/postgresql`
    /// in the user's cache folder, for root in `/var/cache`.
    pub cache: Option<PathBuf>,
    /// Take a PostgreSQL 15+ of this machine before fetching one. An existing data folder's own
    /// major version goes before this. Default false; true where the environment has
    /// `PRIVATE_POSTGRES_SYSTEM=1`.
    pub prefer_system: bool,
    /// Postgres' own page cache. Default `256MB`.
    pub shared_buffers: String,
    /// Default 100.
    pub max_connections: u32,
    /// Further settings of Postgres; they win over this crate's.
    pub settings: Vec<(String, String)>,
    /// How long a start may take, recovery after a crash included. Default 120 s.
    pub start_timeout: Duration,
    /// TESTS ONLY: nothing is synced to disk, so a crash of the machine corrupts the data.
    /// Default false.
    pub lose_data_on_crash: bool,
}

impl ClusterConfig {
    pub fn new(data: impl AsRef<Path>) -> Self {
        Self {
            data: data.as_ref().to_owned(),
            port: 0,
            name: "private-postgres".to_owned(),
            cache: None,
            prefer_system: std::env::var_os("PRIVATE_POSTGRES_SYSTEM").is_some_and(|v| v == "1"),
            shared_buffers: "256MB".to_owned(),
            max_connections: 100,
            settings: Vec::new(),
            start_timeout: Duration::from_secs(120),
            lose_data_on_crash: false,
        }
    }
}
