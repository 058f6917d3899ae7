//! `compline key`: who may enter.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use compline_api::{
    command::{CreateApiKeyRequest, RevokeApiKeyRequest},
    query::{KeyRole, ListApiKeysRequest},
};
use serde_json::json;

use super::{
    ads::{Page, finish, show_table},
    change::{Expect, Request, changed, deliver_secret},
};
use crate::{
    client::{Freshness, Target, token_text},
    output::Output,
    show, wire_json,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    Admin,
    Auditor,
    Standard,
}

impl From<RoleName> for KeyRole {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Admin => KeyRole::Admin,
            RoleName::Auditor => KeyRole::Auditor,
            RoleName::Standard => KeyRole::Standard,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Issue a key of the tenant; it is shown this once
    Create {
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        #[arg(long, value_enum, default_value_t = RoleName::Standard)]
        role: RoleName,
        /// Write the key to this file (mode 0600) instead of printing it
        #[arg(long, value_name = "FILE")]
        write_key: Option<PathBuf>,
        #[command(flatten)]
        request: Request,
    },
    /// List keys, the revoked ones too; secrets are not kept
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        freshness: Freshness,
    },
    /// Let nobody in with it any more
    Revoke {
        /// The key's id, with or without apiKeys/
        id: String,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request: Request,
    },
}

impl KeyCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            KeyCommand::Create {
                name,
                role,
                write_key,
                request,
            } => {
                let answer = target
                    .command()?
                    .api_keys()
                    .create_api_key(CreateApiKeyRequest {
                        request_id: request.id(),
                        display_name: name,
                        role: KeyRole::from(role).into(),
                    })
                    .await?
                    .into_inner();
                let key = answer.api_key.unwrap_or_default();
                let shown = deliver_secret(&answer.secret, write_key)?;
                let token = token_text(&answer.token);
                if out.is_json() {
                    let key = wire_json::api("compline.query.v1.ApiKey", &key);
                    out.json(&json!({ "apiKey": key, "secret": shown, "token": token }))?;
                } else {
                    out.pairs(&[("id", key.name), ("key", shown), ("token", token)])?;
                }
                Ok(())
            }
            KeyCommand::Revoke {
                id,
                expect,
                request,
            } => {
                let name = match id.starts_with("apiKeys/") {
                    true => id,
                    false => format!("apiKeys/{id}"),
                };
                let answer = target
                    .command()?
                    .api_keys()
                    .revoke_api_key(RevokeApiKeyRequest {
                        request_id: request.id(),
                        name,
                        expected_version: expect.expected_version,
                    })
                    .await?
                    .into_inner();
                let key = answer.api_key.unwrap_or_default();
                changed(
                    out,
                    "apiKey",
                    "compline.query.v1.ApiKey",
                    &key,
                    &answer.token,
                )?;
                if !out.is_json() {
                    let token = token_text(&answer.token);
                    out.line(format!("{} is revoked  (token {token})", key.name))?;
                }
                Ok(())
            }
            KeyCommand::List { page, freshness } => list_keys(page, freshness, target, out).await,
        }
    }
}

async fn list_keys(
    page: Page,
    freshness: Freshness,
    target: &Target,
    out: &mut Output,
) -> Result<()> {
    let mut client = target.query()?.tenancy();
    let mut rows = Vec::new();
    let mut page_token = page.page_token.clone();
    loop {
        let answer = client
            .list_api_keys(ListApiKeysRequest {
                page_size: page.size(),
                page_token,
                consistency: freshness.consistency(),
            })
            .await?
            .into_inner();
        for key in &answer.api_keys {
            if out.is_json() {
                out.json(&wire_json::api("compline.query.v1.ApiKey", key))?;
                continue;
            }
            let role = match key.role() {
                KeyRole::Unspecified => "-",
                KeyRole::Admin => "admin",
                KeyRole::Auditor => "auditor",
                KeyRole::Standard => "standard",
            };
            rows.push(vec![
                key.name.trim_start_matches("apiKeys/").to_owned(),
                show::or_dash(&key.display_name),
                role.to_owned(),
                show::time(key.issue_time.as_ref()),
                show::time(key.revoke_time.as_ref()),
            ]);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() || !page.all {
            show_table(out, &["id", "name", "role", "issued", "revoked"], rows)?;
            return finish(out, answer.seen.as_ref(), &page_token);
        }
    }
}
