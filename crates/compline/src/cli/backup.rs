//! `compline backup`: a copy of all that a street holds, while it runs.

mod check;

use std::{io::IsTerminal as _, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{log::LogTarget, status::postgres};
use crate::{
    backup::{self, Folder, Manifest, Source},
    client::Target,
    output::Output,
    show,
};

/// Where the copy goes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
The folder then holds the log, every table in one snapshot, and the data folder's keys and
settings: keep it where only you can read it. It is whole when backup.json is in it. A
backup into the folder of an earlier one copies only what its log lacks, and is no backup
until it is done: keep two folders and take them in turn. With --config it is taken of
that log and database.")]
pub(super) struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// A new or empty folder, or that of an earlier backup of the same street
    #[arg(required = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    log: LogTarget,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Restore a backup to a throw-away place, fold its log anew, and compare every row
    /// of every read model: 1 when something differs
    Check(check::Check),
}

impl Backup {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let folder = match (self.command, self.folder) {
            (Some(BackupCommand::Check(check)), _) => return check.run(target, out).await,
            (None, folder) => folder.context("clap asks for a folder")?,
        };
        let source = Source {
            name: match &target.config {
                Some(file) => format!("the street of {}", file.display()),
                None => format!("the street in {}", target.data.display()),
            },
            log: self.log.config(target)?,
            database: postgres(target)?.database_as_owner()?,
            data: target.config.is_none().then(|| target.data.clone()),
        };
        let began = Instant::now();
        let taken = backup::take(&source, &Folder::at(&folder), &doing).await;
        done();
        tell(
            &taken?,
            began.elapsed().as_secs_f64(),
            &folder.display().to_string(),
            out,
        )
    }
}

/// On a terminal: what is being done, in one line that the next one replaces.
pub(super) fn doing(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{what}");
    }
}

pub(super) fn done() {
    doing("");
}

fn tell(taken: &Manifest, seconds: f64, folder: &str, out: &mut Output) -> Result<()> {
    if out.is_json() {
        out.json(&json!({
            "folder": folder,
            "seconds": seconds,
            "records": taken.records(),
            "logBytes": taken.bytes_below("log"),
            "rows": taken.rows(),
            "tableBytes": taken.bytes_below("tables"),
            "files": taken.files.len(),
            "bytes": taken.bytes(),
        }))?;
        return Ok(());
    }
    let log = show::bytes(taken.bytes_below("log"));
    let tables = show::bytes(taken.bytes_below("tables"));
    out.line(format!(
        "{folder} holds {} records of the log ({log}) and {} rows ({tables}), taken in {seconds:.1} s. \
         `compline backup check {folder}` tries it out, `compline restore {folder} --data NEW` \
         makes a data folder of it",
        show::count(taken.records()),
        show::count(taken.rows()),
    ))?;
    Ok(())
}
