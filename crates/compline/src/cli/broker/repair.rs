//! `compline broker repair`: says, asks, mends.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::{finding, log_in, severity};
use crate::{output::Output, show};

#[derive(Debug, Args)]
#[command(after_help = "\
What is sound stays, at the offset that it has. Bytes that make no sense are cut out and
kept aside; so is a file that only has a segment's name, whole. Offsets that are gone are
taken up by empty batches, so that none is given again. Copy the folder away first: a backup or the volume's snapshot may have what is
gone here.")]
pub(in crate::cli) struct Repair {
    /// A data folder, or the folder of a log
    folder: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Where the bytes go that are cut out or set aside [default: cut/TIME in the log's folder]
    #[arg(long, value_name = "DIR")]
    aside: Option<PathBuf>,
}

impl Repair {
    pub(super) fn run(self, out: &mut Output) -> Result<()> {
        let path = log_in(&self.folder);
        let plan = compline_broker::repair::Repair::plan(&path)
            .with_context(|| format!("{}", path.display()))?;
        for one in plan.beyond() {
            match out.is_json() {
                true => out.json(&json!({ "cannotMend": finding(one) }))?,
                false => out.line(format!("cannot be mended here: {one}"))?,
            }
        }
        for one in plan.cuts() {
            match out.is_json() {
                true => out.json(&json!({ "cut": finding(one) }))?,
                false => out.line(format!("{}: {one}", severity(one)))?,
            }
        }
        let beyond = plan.beyond().len();
        if plan.cuts().next().is_none() {
            if beyond > 0 {
                bail!("{beyond} places cannot be mended here: restore them from a backup");
            }
            if !out.is_json() {
                out.line("nothing is damaged")?;
            }
            return Ok(());
        }
        out.flush()?;
        if !self.yes && !asked()? {
            bail!("nothing was changed");
        }
        let aside = self.aside.unwrap_or_else(|| {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            path.join("cut").join(now.to_string())
        });
        let done = plan.apply(&aside)?;
        match out.is_json() {
            true => out.json(&json!({
                "repaired": {
                    "cutBytes": done.cut_bytes,
                    "lostOffsets": done.lost_offsets,
                    "aside": done.aside,
                }
            }))?,
            false => out.line(format!(
                "repaired: {} bytes are out of the log and kept in {}; {} offsets are gone for good",
                show::count(done.cut_bytes),
                done.aside.display(),
                show::count(done.lost_offsets)
            ))?,
        }
        if beyond > 0 {
            bail!("{beyond} places cannot be mended here: restore them from a backup");
        }
        Ok(())
    }
}

fn asked() -> Result<bool> {
    let mut input = io::stdin().lock();
    if !io::stdin().is_terminal() {
        bail!("nobody is there to be asked; nothing was changed (--yes does it unasked)");
    }
    eprint!("Copy the folder away first. Do this? Type yes: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
