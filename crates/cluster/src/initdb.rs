//! The first start: an empty database and a password.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::ClusterError;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::io;
use crate::place::{Place, write_whole};

/// The superuser's name.
pub(crate) const SUPERUSER: &str = "postgres";

/// The first version that sorts and folds case without the system's locales.
const BUILTIN_LOCALE_MAJOR: u32 = 17;

/// Folders in which an initdb is at work begin with this.
const WORK: &str = "initdb-";

/// The major version of the data that is there, if any is.
pub(crate) fn existing_major(place: &Place) -> Result<Option<u32>, ClusterError> {
    let path = place.pgdata().join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("cannot read", path)(error)),
    }
}

/// Makes `pgdata` and the password. A kill in between leaves no half-made `pgdata`, for it
/// gets its name when it is whole.
pub(crate) fn initialise(
    place: &Place,
    binaries: &Binaries,
    account: &Account,
    sync: bool,
) -> Result<(), ClusterError> {
    clear_abandoned(place);
    // A name of its own: an initdb whose program was killed may still be at work.
    let work = place
        .home
        .join(format!("{WORK}{:016x}", rand::random::<u64>()));
    fs::create_dir(&work).map_err(io("cannot make", &work))?;
    fs::set_permissions(&work, Permissions::from_mode(0o700)).map_err(io("cannot close", &work))?;

    let password = format!("{:032x}", rand::random::<u128>());
    write_whole(&place.password(), &format!("{password}\n"), 0o600)?;
    let password_file = work.join("password");
    write_whole(&password_file, &format!("{password}\n"), 0o600)?;
    account.own(&password_file)?;
    account.own(&work)?;

    let mut initdb = account.command(&binaries.program("initdb"), &work);
    initdb
        .arg("--pgdata")
        .arg(work.join("pgdata"))
        .args([
            "--username",
            SUPERUSER,
            "--auth",
            "scram-sha-256",
            "--pwfile",
        ])
        .arg(&password_file)
        .args(["--encoding", "UTF8", "--data-checksums"]);
    // The same order on every machine: by code point, not by whatever locale is installed.
    if binaries.major >= BUILTIN_LOCALE_MAJOR {
        initdb.args([
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
        ]);
    }
    initdb.args(["--locale", "C"]);
    if !sync {
        initdb.arg("--no-sync");
    }
    let output = initdb
        .output()
        .map_err(io("cannot run", binaries.program("initdb")))?;
    if !output.status.success() {
        return Err(ClusterError::Program {
            program: "initdb",
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let pgdata = place.pgdata();
    fs::rename(work.join("pgdata"), &pgdata)
        // The name must be on disk before anything that relies on it is.
        .and_then(|()| fs::File::open(&place.home)?.sync_all())
        .map_err(io("cannot make", &pgdata))?;
    fs::remove_dir_all(&work).map_err(io("cannot remove", work))
}

/// The password that an earlier [`initialise`] wrote.
pub(crate) fn password(place: &Place) -> Result<String, ClusterError> {
    let path = place.password();
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ClusterError::PasswordMissing { path })
        }
        Err(error) => Err(io("cannot read", path)(error)),
    }
}

/// What a kill left behind; it does no harm where it cannot be removed.
fn clear_abandoned(place: &Place) {
    for entry in fs::read_dir(&place.home).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
