//! `compline broker`: the role, and what one does with the folder of one that is
//! stopped.

mod inspect;
mod repair;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use compline_broker::inspect::{Finding, Severity};
use serde_json::{Value, json};

use super::role;
use crate::{client::Target, output::Output, role::RoleName};

#[derive(Debug, Subcommand)]
pub(super) enum BrokerCommand {
    /// Show what is in the folder of an embedded log that is stopped; changes nothing,
    /// and is 1 when something is damaged
    Inspect(inspect::Inspect),
    /// Make a damaged folder one that opens: says what it would do, and asks
    Repair(repair::Repair),
}

/// Without a command it is the role.
pub(super) async fn run(
    command: Option<BrokerCommand>,
    target: &Target,
    out: &mut Output,
) -> Result<()> {
    match command {
        None => role::run(RoleName::Broker, target).await,
        Some(BrokerCommand::Inspect(inspect)) => inspect.run(out),
        Some(BrokerCommand::Repair(repair)) => repair.run(out),
    }
}

/// A data folder's log, or a log alone.
fn log_in(folder: &Path) -> PathBuf {
    let inside = folder.join("log");
    match inside.join("format").is_file() {
        true => inside,
        false => folder.to_owned(),
    }
}

/// As an object.
fn finding(finding: &Finding) -> Value {
    json!({
        "severity": severity(finding),
        "file": finding.path,
        "firstByte": finding.bytes.start,
        "bytes": finding.bytes.end - finding.bytes.start,
        "firstLostOffset": finding.lost.start,
        "lostOffsets": finding.lost.end - finding.lost.start,
        "acknowledged": finding.acknowledged,
        "stray": finding.is_stray,
        "what": finding.what,
    })
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Note => "note",
        Severity::Torn => "torn",
        Severity::Damage => "damaged",
    }
}
