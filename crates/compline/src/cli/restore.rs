//! `compline restore`: a data folder from a backup.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::backup::{doing, done};
use crate::{
    backup::{self, Folder, Manifest},
    client::Target,
    config::{Purpose, Settings},
    output::Output,
    show,
};

#[derive(Debug, Args)]
#[command(after_help = "\
The data folder (--data) must be new or empty. What the log got after the tables were
copied is folded when `compline up` starts on it.")]
pub(super) struct Restore {
    /// The backup
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only the tables, into the database of --config, which must have none of compline's
    #[arg(long)]
    tables: bool,
}

impl Restore {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let folder = Folder::at(&self.folder);
        let began = Instant::now();
        if self.tables {
            ensure!(
                target.config.is_some(),
                "--tables needs --config, which names the database"
            );
            let settings = Settings::load_for(Purpose::Migrate, target.config.as_deref())?;
            let restored = backup::restore_tables(&folder, settings, &doing).await;
            done();
            return tell_tables(&restored?, began.elapsed(), out);
        }
        let settings = Settings::load_for(Purpose::Up, target.config.as_deref())?;
        let restored = backup::restore(&folder, &target.street(), settings, &doing).await;
        done();
        tell(&restored?, began.elapsed(), target, out)
    }
}

fn to_json(manifest: &Manifest, took: Duration) -> Value {
    json!({
        "takenAt": show::instant(manifest.began_at),
        "seconds": took.as_secs_f64(),
        "records": manifest.records(),
        "rows": manifest.rows(),
    })
}

fn tell_tables(manifest: &Manifest, took: Duration, out: &mut Output) -> Result<()> {
    if out.is_json() {
        return Ok(out.json(&to_json(manifest, took))?);
    }
    out.line(format!(
        "the database holds {} rows as they were at {}, restored in {:.1} s. Bring the backup's \
         log to the brokers before any role starts",
        show::count(manifest.rows()),
        show::instant(manifest.began_at),
        took.as_secs_f64(),
    ))?;
    Ok(())
}

fn tell(manifest: &Manifest, took: Duration, target: &Target, out: &mut Output) -> Result<()> {
    if out.is_json() {
        return Ok(out.json(&to_json(manifest, took))?);
    }
    let data = target.data.display();
    out.line(format!(
        "{data} holds {} records of the log and {} rows as they were at {}, restored in {:.1} s. \
         `compline up --data {data}` goes on from there",
        show::count(manifest.records()),
        show::count(manifest.rows()),
        show::instant(manifest.began_at),
        took.as_secs_f64(),
    ))?;
    if !manifest.topic_prefix.is_empty() {
        out.note(&format!(
            "its topics are named {}…: start it with that log.prefix",
            manifest.topic_prefix
        ))?;
    }
    Ok(())
}
