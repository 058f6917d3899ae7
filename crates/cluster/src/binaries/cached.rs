//! Binaries fetched before: `<cache>/<version>/bin`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Binaries;
use crate::account::Account;
use crate::error::io;
use crate::{ClusterConfig, ClusterError};

/// The cache folder, made, and within reach of Postgres' user.
pub(crate) fn folder(config: &ClusterConfig, account: &Account) -> Result<PathBuf, ClusterError> {
    let folder = match &config.cache {
        Some(folder) => folder.clone(),
        None => default_root(account).join(&config.name).join("postgresql"),
    };
    fs::create_dir_all(&folder).map_err(io("cannot make", &folder))?;
    let folder = folder.canonicalize().map_err(io("cannot find", &folder))?;
    if let Account::Other { .. } = account {
        fs::set_permissions(&folder, Permissions::from_mode(0o755))
            .map_err(io("cannot open up", &folder))?;
        account.must_reach(&folder)?;
    }
    Ok(folder)
}

/// Root's own cache folder is under a home of mode 0700, where Postgres' user cannot go.
fn default_root(account: &Account) -> PathBuf {
    if let Account::Other { .. } = account {
        return PathBuf::from("/var/cache");
    }
    let set = |key| {
        std::env::var_os(key)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(folder) = set("XDG_CACHE_HOME") {
        return folder;
    }
    match set("HOME") {
        Some(home) if cfg!(target_os = "macos") => home.join("Library/Caches"),
        Some(home) => home.join(".cache"),
        None => std::env::temp_dir(),
    }
}

pub(super) fn newest(cache: &Path, major: u32) -> Option<Binaries> {
    let entries = fs::read_dir(cache).ok()?;
    entries
        .flatten()
        .filter_map(|entry| Binaries::at(&entry.path().join("bin")))
        .filter(|found| found.major == major)
        .max_by_key(|found| super::system::numbers(&found.version))
}
