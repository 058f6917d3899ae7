//! Waiting for the readers of a street on this machine, so that what is asked next
//! shows what was just done.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{log::LogTarget, status::database};
use crate::{client::Target, inspect::Inspector, output::Output, settle, street::Found};

/// What people put up with; a street that is this far behind says so.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Leave at once. Else, where the street runs in the data folder, this waits until
    /// all readers have seen what came of it, at most 5 s
    #[arg(long)]
    no_wait: bool,
}

impl Wait {
    /// What was asked for has been done, so nothing here is an error.
    pub(super) async fn settle(&self, target: &Target, out: &mut Output) -> Result<()> {
        let here = target.is_of_folder() && target.config.is_none();
        if self.no_wait || !here || !matches!(target.street().find(), Ok(Found::Running(_))) {
            return Ok(());
        }
        out.flush()?;
        match wait(target).await {
            Ok(true) => {}
            Ok(false) => {
                out.note(
                    "not all readers have seen it yet; `compline lag` shows how far they are",
                )?;
            }
            Err(error) => out.note(&format!("the readers were not waited for: {error:#}"))?,
        }
        Ok(())
    }
}

async fn wait(target: &Target) -> Result<bool> {
    let log = LogTarget::default().open(target)?;
    let mut inspector = Inspector::connect(&database(target)?).await?;
    settle::settle(&log, &mut inspector, PATIENCE).await
}
