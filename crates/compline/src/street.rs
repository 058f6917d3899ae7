//! The data folder of a street that runs on one machine.
//!
//! | file | mode | |
//! |---|---|---|
//! | `lock` | 0600 | held by the process that runs the street, however it ends |
//! | `street.json` | 0600 | where the running street listens; means nothing while nobody holds the lock |
//! | `operator.key` | 0600 | may create tenants |
//! | `api.key` | 0600 | the sample tenant's admin key, which the command line reads |
//! | `token` | 0600 | what the next reads of the command line wait for |
//! | `pgpass` | 0600 | the database passwords of this run, in libpq's format |
//! | `log.json` | 0600 | which log the tables are folded from |
//! | `restoring` | 0600 | there while `compline restore` makes the folder, or when it broke off |
//! | `log/` | 0700 | the embedded broker's |
//! | `postgres/` | | the private PostgreSQL's, see `compline-cluster` |
//!
//! A kill leaves nothing to clean: the kernel drops the lock with the process,
//! and whoever holds the lock may overwrite the rest.

mod file;
mod lock;
mod log_place;
mod restoring;
mod run_file;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

pub use file::{PrivateFile, write_private};
pub use lock::{Held, Lock, LockError};
pub use log_place::LogPlace;
pub use restoring::Restoring;
pub use run_file::{Addresses, DatabaseAccess, RunFile};

/// Where `up` keeps everything unless it is told otherwise.
pub const DEFAULT_FOLDER: &str = "./compline-data";

/// A data folder, which may or may not have a running street.
#[derive(Debug, Clone)]
pub struct Street {
    folder: PathBuf,
}

/// What another process finds in a data folder.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made and taken apart at once"
)]
pub enum Found {
    Running(RunFile),
    /// Somebody holds the lock and has not said yet where it listens.
    Starting {
        pid: Option<u32>,
    },
    /// It finishes what it has begun and takes nothing more.
    Stopping {
        pid: u32,
    },
    NotRunning,
}

impl Street {
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn postgres_folder(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    pub fn api_key_file(&self) -> PathBuf {
        self.folder.join("api.key")
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    pub fn pgpass_file(&self) -> PathBuf {
        self.folder.join("pgpass")
    }

    pub fn operator_key_file(&self) -> PathBuf {
        self.folder.join("operator.key")
    }

    /// Makes the folder, for its owner alone: root's is passable, for PostgreSQL then
    /// runs as another user below it; every file of ours in it is 0600. A folder
    /// that is there keeps its mode, and must be empty or ours.
    pub fn make_folder(&self) -> Result<()> {
        let user = rustix::process::geteuid();
        let mode = if user.is_root() { 0o711 } else { 0o700 };
        let folder = self.folder.display();
        ensure!(
            !Restoring::is_in(&self.folder),
            "a restore into {folder} was not finished: remove the folder and restore again"
        );
        match fs::read_dir(&self.folder) {
            Ok(mut there) => {
                let owner = fs::metadata(&self.folder)?.uid();
                let is_ours = self.log_folder().exists() || self.postgres_folder().exists();
                ensure!(
                    !is_ours || owner == user.as_raw(),
                    "the data folder {folder} belongs to user {owner}, and this is user {}: start \
                     it as its owner",
                    user.as_raw()
                );
                ensure!(
                    is_ours || there.all(|entry| entry.is_ok_and(|entry| is_trace(&entry))),
                    "the folder {folder} holds other things and no data of compline's: choose \
                     an empty folder or a new one"
                );
                Ok(())
            }
            Err(_) => fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(&self.folder),
        }
        .and_then(|()| self.make_log_folder())
        .with_context(|| format!("cannot make the data folder {folder}"))
    }

    /// The log holds webhooks as they came: nobody else may pass.
    fn make_log_folder(&self) -> io::Result<()> {
        let folder = self.log_folder();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
    }

    /// Takes the folder for this process, or says who has it.
    pub fn lock(&self) -> Result<Lock> {
        Lock::take(&self.folder.join("lock"))
            .with_context(|| format!("the data folder {}", self.folder.display()))
    }

    /// From here on nobody takes the folder before the restore is finished.
    pub fn begin_restore(&self) -> Result<Restoring> {
        Restoring::begin(&self.folder)
    }

    pub fn announce(&self, run_file: &RunFile) -> Result<()> {
        write_private(&self.run_file(), &run_file.to_json())
    }

    /// From here on nobody is sent to the street's doors. A failure costs others a
    /// clearer word, and a stop is no time to fail.
    pub fn announce_stop(&self, mut run_file: RunFile) {
        run_file.stopping = true;
        if let Err(error) = self.announce(&run_file) {
            tracing::warn!(error = %format_args!("{error:#}"), "the stop could not be announced");
        }
    }

    /// Takes the announcement back; without it nothing is found once the lock is
    /// gone, so a failure only costs tidiness.
    pub fn withdraw(&self) {
        if let Err(error) = fs::remove_file(self.run_file()) {
            tracing::debug!(%error, "the run file could not be removed");
        }
    }

    /// Whether a street runs here, and where.
    pub fn find(&self) -> Result<Found> {
        let holder = match Lock::holder(&self.folder.join("lock")) {
            Ok(Held::Nobody) => return Ok(Found::NotRunning),
            Ok(Held::By { pid }) => pid,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::NotRunning),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot look into the data folder {}", self.folder.display())
                });
            }
        };
        let path = self.run_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Found::Starting { pid: holder });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let run_file = RunFile::from_json(&text)
            .with_context(|| format!("{} is not a run file", path.display()))?;
        // Left by a street that was killed, while a new one is starting.
        if holder.is_some_and(|pid| pid != run_file.pid) {
            return Ok(Found::Starting { pid: holder });
        }
        if run_file.stopping {
            return Ok(Found::Stopping { pid: run_file.pid });
        }
        Ok(Found::Running(run_file))
    }

    /// The running street, or an error that says what to do.
    pub fn running(&self) -> Result<RunFile> {
        match self.find()? {
            Found::Running(run_file) => Ok(run_file),
            Found::Starting { .. } => {
                anyhow::bail!("the street in {} is still starting", self.folder.display())
            }
            Found::Stopping { pid } => anyhow::bail!(
                "the street in {} is stopping (process {pid})",
                self.folder.display()
            ),
            Found::NotRunning => anyhow::bail!(
                "no street is running in {}; start one with `compline up`, or name another folder with --data",
                self.folder.display()
            ),
        }
    }

    /// The log that the folder's tables are folded from.
    pub fn log_place(&self) -> Result<LogPlace> {
        let path = self.log_place_file();
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} does not say which log it is", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogPlace::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub fn remember_log_place(&self, place: &LogPlace) -> Result<()> {
        let text = serde_json::to_string_pretty(place)?;
        write_private(&self.log_place_file(), &format!("{text}\n"))
    }

    fn log_place_file(&self) -> PathBuf {
        self.folder.join("log.json")
    }

    fn run_file(&self) -> PathBuf {
        self.folder.join("street.json")
    }
}

/// What a start that came to nothing leaves, what is put there before the first one,
/// and what a fresh disk has.
fn is_trace(entry: &fs::DirEntry) -> bool {
    let harmless = [
        "lock",
        "street.json",
        "log.json",
        "operator.key",
        "api.key",
        "token",
        "pgpass",
        "lost+found",
    ];
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        return false;
    };
    harmless.contains(&name) || name.ends_with(".toml")
}
