//! What the commands that change something have in common.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use compline_api::query::Position;
use prost::Name;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Target, token_text},
    output::Output,
    street, wire_json,
};

/// Of every command that changes something.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// A UUID; the same one again does nothing and gives the first answer
    /// [default: a new one]
    #[arg(long, value_name = "UUID")]
    pub(super) request_id: Option<Uuid>,
}

impl Request {
    pub(super) fn id(&self) -> String {
        self.request_id.unwrap_or_else(Uuid::now_v7).to_string()
    }
}

#[derive(Debug, Args)]
pub(super) struct Expect {
    /// Only when it is at this version
    #[arg(long, value_name = "N")]
    pub(super) expected_version: Option<u64>,
}

/// The token of a command's answer, which is kept for the next reads.
pub(super) fn kept(target: &Target, token: &[Position], out: &mut Output) -> Result<String> {
    // The command has been carried out, whatever becomes of its token.
    if let Err(error) = target.keep_token(token) {
        out.note(&format!("the next reads will not wait: {error:#}"))?;
    }
    Ok(token_text(token))
}

/// A command's answer for machines.
pub(super) fn json_of(what: &str, message: &impl Name, token: &str, unchanged: bool) -> Value {
    json!({ what: wire_json::api(message), "token": token, "unchanged": unchanged })
}

/// Where a new key goes. It is shown once: on the screen, or in a file that only its
/// owner reads.
#[derive(Debug, Args)]
pub(super) struct KeyFile {
    /// Write the key to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    write_key: Option<PathBuf>,
    /// Write over the file when there is one: the key in it is lost
    #[arg(long, requires = "write_key")]
    force: bool,
}

impl KeyFile {
    /// To be asked before the key is made: afterwards it would be lost.
    pub(super) fn check(&self) -> Result<()> {
        let Some(path) = self.write_key.as_ref().filter(|_| !self.force) else {
            return Ok(());
        };
        ensure!(
            !path.try_exists()?,
            "{} is there already and may hold a key; name another file, or write over it with --force",
            path.display()
        );
        Ok(())
    }

    /// What to tell of the key.
    pub(super) fn deliver(self, secret: &str) -> Result<String> {
        if secret.is_empty() {
            return Ok("(shown once already: this request was a repetition)".to_owned());
        }
        let Some(path) = self.write_key else {
            return Ok(secret.to_owned());
        };
        street::write_private(&path, &format!("{secret}\n"))?;
        Ok(format!("in {}", path.display()))
    }
}
