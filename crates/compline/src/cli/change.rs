//! What the commands that change something have in common.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use compline_api::query::Position;
use prost::Message;
use serde_json::json;
use uuid::Uuid;

use crate::{client::token_text, output::Output, street, wire_json};

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

/// A command's answer for machines.
pub(super) fn changed(
    out: &mut Output,
    what: &str,
    message_name: &str,
    message: &impl Message,
    token: &[Position],
) -> Result<()> {
    if out.is_json() {
        let value = wire_json::api(message_name, message);
        out.json(&json!({ what: value, "token": token_text(token) }))?;
    }
    Ok(())
}

/// A key is shown once: on the screen, or in a file that only its owner reads.
pub(super) fn deliver_secret(secret: &str, write_key: Option<PathBuf>) -> Result<String> {
    if secret.is_empty() {
        return Ok("(shown once already: this request was a repetition)".to_owned());
    }
    let Some(path) = write_key else {
        return Ok(secret.to_owned());
    };
    street::write_private(&path, &format!("{secret}\n"))?;
    Ok(format!("in {}", path.display()))
}
