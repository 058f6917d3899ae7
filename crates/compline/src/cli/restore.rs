//! `compline restore`: a data folder from a backup.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::backup::{doing, done};
use crate::{
    backup::{self, Folder},
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
}

impl Restore {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let settings = Settings::load_for(Purpose::Up, target.config.as_deref())?;
        let (folder, street) = (Folder::at(&self.folder), target.street());
        let began = Instant::now();
        let restored = backup::restore(&folder, &street, settings, &doing).await;
        done();
        let manifest = restored?;
        let (data, seconds) = (target.data.display(), began.elapsed().as_secs_f64());
        match out.is_json() {
            true => out.json(&json!({
                "data": target.data,
                "takenAt": show::instant(manifest.began_at),
                "seconds": seconds,
                "records": manifest.records(),
                "rows": manifest.rows(),
            }))?,
            false => out.line(format!(
                "{data} holds {} records of the log and {} rows as they were at {}, restored in \
                 {seconds:.1} s. `compline up --data {data}` goes on from there",
                show::count(manifest.records()),
                show::count(manifest.rows()),
                show::instant(manifest.began_at),
            ))?,
        }
        if !manifest.topic_prefix.is_empty() {
            out.note(&format!(
                "its topics are named {}…: start it with that log.prefix",
                manifest.topic_prefix
            ))?;
        }
        Ok(())
    }
}
