//! A data folder from a backup, or its tables alone.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, ensure};
use compline_readmodel::role;

use super::{Folder, Manifest, Tell, files, load};
use crate::{
    config::{PostgresSettings, Settings},
    street::{LogPlace, Street},
    up::postgres,
};

/// Makes `street`'s folder, which must not hold anything, into one that `up` takes.
/// A backup that is damaged or newer than this build is refused before anything is made;
/// a restore that broke off leaves a folder that `up` refuses.
pub async fn restore(
    folder: &Folder,
    street: &Street,
    mut settings: Settings,
    tell: Tell<'_>,
) -> Result<Manifest> {
    let manifest = Manifest::read(folder.path())?;
    tell("looking at the backup's files");
    files::verify(folder.path(), &manifest.files)?;
    must_be_empty(street.folder())?;

    street.make_folder()?;
    let _lock = street.lock()?;
    let restoring = street.begin_restore()?;
    tell("copying the log");
    let (files, from) = (&manifest.files, folder.path());
    files::copy_tree(files, from, "log", &street.log_folder())?;
    files::copy_tree(files, from, "folder", street.folder())?;
    // The copy is an embedded log, whatever it was taken from.
    street.remember_log_place(&LogPlace::Embedded)?;

    settings.cluster.port = 0;
    tell("starting PostgreSQL");
    let cluster = postgres::start(postgres::config(&settings, street)).await?;
    let loaded = load_into(postgres::settings(&cluster), &manifest, folder, tell).await;
    let stopped = cluster.stop().await;
    loaded.context("loading the tables")?;
    stopped.context("stopping PostgreSQL")?;
    // PostgreSQL has seen to its own.
    files::sync_names(&street.log_folder())?;
    restoring.finish()?;
    Ok(manifest)
}

/// Puts a backup's tables into the database of `settings`, which has none of ours, for
/// roles that run on their own.
pub async fn restore_tables(
    folder: &Folder,
    settings: Settings,
    tell: Tell<'_>,
) -> Result<Manifest> {
    let manifest = Manifest::read(folder.path())?;
    tell("looking at the backup's files");
    files::verify(folder.path(), &manifest.files)?;
    load_into(settings.postgres, &manifest, folder, tell).await?;
    Ok(manifest)
}

fn must_be_empty(folder: &Path) -> Result<()> {
    let holds = match fs::read_dir(folder) {
        Ok(there) => there
            .flatten()
            .find(|entry| entry.file_name() != "lost+found"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    };
    let holds = holds.map(|entry| entry.file_name().to_string_lossy().into_owned());
    ensure!(
        holds.is_none(),
        "{} holds {} already: restore into a new folder (--data)",
        folder.display(),
        holds.unwrap_or_default()
    );
    Ok(())
}

async fn load_into(
    postgres: PostgresSettings,
    manifest: &Manifest,
    folder: &Folder,
    tell: Tell<'_>,
) -> Result<()> {
    if let Some((admin, name)) = postgres.admin()? {
        role::bootstrap(&admin, &name, |role| {
            postgres.password(role).expose().to_owned()
        })
        .await?;
    }
    load::load(&postgres.database()?, manifest, folder, tell).await
}
