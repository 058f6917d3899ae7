//! A copy of all that a street cannot make anew, taken while it runs.
//!
//! ```text
//! small files ─▶ tables, in one snapshot ─▶ log, up to its end ─▶ sums ─▶ backup.json
//! ```
//!
//! The order is the point. Tables name places in the log (checkpoints, parked records,
//! what an engine has told, the command line's token), and may name none that the copy
//! lacks: so the log comes last, and holds more than the tables know. That is what a
//! projector is made for, and an engine's recovery by ids, too: what it told after the
//! snapshot stands in the log and is not told again. The other way round the tables
//! would be ahead of their log, which nothing mends.
//!
//! | in the folder | is |
//! |---|---|
//! | `backup.json` | the [`Manifest`], written last: without it the folder is no backup |
//! | `unfinished` | there while a backup is written, or when one broke off |
//! | `folder/` | the data folder's small files: keys, settings, the token |
//! | `tables/SCHEMA/TABLE` | rows in COPY's text format |
//! | `log/` | an embedded log with the offsets of the one that was copied |
//! | `lock` | held by who writes |
//!
//! Passwords of the database and the run file are not in it: each start makes its own.

mod examine;
mod files;
mod load;
mod log;
mod manifest;
mod restore;
mod tables;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use compline_eventlog::{Log, LogConfig};
use compline_readmodel::Database;
use time::OffsetDateTime;

pub use self::{
    examine::Examined,
    load::load,
    manifest::{FileFacts, Manifest, PartitionFacts, Refused, SchemaFacts, TableFacts},
    restore::{restore, restore_tables},
};
use crate::street::{Lock, LockError};

/// Tells what is being done, for whoever waits.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// What is copied.
#[derive(Debug)]
pub struct Source {
    /// For people.
    pub name: String,
    pub log: LogConfig,
    pub database: Database,
    /// Whose small files come along; absent where roles run without one.
    pub data: Option<PathBuf>,
}

/// The folder of a backup.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log that is in it, which `log copy` takes, too.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn tables(&self) -> PathBuf {
        self.path.join("tables")
    }

    fn small_files(&self) -> PathBuf {
        self.path.join("folder")
    }

    fn unfinished(&self) -> PathBuf {
        self.path.join("unfinished")
    }

    /// # Errors
    /// When it holds a whole backup of another log, which would be lost.
    fn must_be_of(&self, log_id: Option<&str>) -> Result<()> {
        if !manifest::path_in(&self.path).exists() {
            return Ok(());
        }
        let before = Manifest::read(&self.path)?;
        ensure!(
            before.log_id.as_deref() == log_id,
            "{} is a backup of another log, of {}: choose another folder",
            self.path.display(),
            before.taken_from
        );
        Ok(())
    }

    /// Takes the folder to write a backup into it: a new or empty one, or that of an
    /// earlier backup, which is none from here on until this one is whole.
    fn begin(&self) -> Result<Lock> {
        let folder = self.path.display();
        let is_ours = manifest::path_in(&self.path).exists() || self.unfinished().exists();
        match fs::read_dir(&self.path) {
            Ok(mut there) => ensure!(
                is_ours || there.all(|entry| entry.is_ok_and(|it| it.file_name() == "lost+found")),
                "{folder} holds other things and no backup: choose an empty folder or a new one"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_private(&self.path)?,
            Err(error) => return Err(error).with_context(|| format!("cannot read {folder}")),
        }
        let lock = match Lock::take(&self.path.join("lock")) {
            Err(LockError::Held { .. }) => bail!("another backup is being written to {folder}"),
            taken => taken?,
        };
        fs::write(self.unfinished(), "")?;
        manifest::withdraw(&self.path)?;
        for stale in [self.tables(), self.small_files()] {
            match fs::remove_dir_all(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => make_private(&stale)?,
            }
        }
        Ok(lock)
    }
}

/// Copies `source` to `folder`. A backup into the folder of an earlier one copies only
/// what its log lacks.
pub async fn take(source: &Source, folder: &Folder, tell: Tell<'_>) -> Result<Manifest> {
    let began_at = OffsetDateTime::now_utc();
    let cluster = Log::new(source.log.clone())?.cluster().await;
    let log_id = cluster.context("the log")?.id;
    folder.must_be_of(log_id.as_deref())?;
    let _lock = folder.begin()?;
    if let Some(data) = &source.data {
        tell("copying keys and settings");
        files::copy_small(data, &folder.small_files())?;
    }
    let tables = tables::dump(&source.database, &folder.tables(), tell)
        .await
        .context("copying the tables")?;
    let partitions = log::copy(source.log.clone(), &folder.log(), tell)
        .await
        .context("copying the log")?;
    tables.stand_within(&partitions)?;

    tell("summing files");
    files::sync_names(&folder.path)?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        compline: env!("CARGO_PKG_VERSION").to_owned(),
        taken_from: source.name.clone(),
        log_id,
        began_at,
        finished_at: OffsetDateTime::now_utc(),
        topic_prefix: source.log.prefix.clone(),
        server_version: tables.server_version,
        positions: tables.positions,
        schemas: tables.schemas,
        log: partitions,
        files: files::sum(&folder.path)?,
    };
    manifest.write(&folder.path)?;
    fs::remove_file(folder.unfinished())?;
    Ok(manifest)
}

/// For its owner alone: there are keys in it, and webhooks as they came.
fn make_private(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
}
