//! `compline key`: who may enter.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use compline_api::{
    command::{CreateApiKeyRequest, RevokeApiKeyRequest},
    query::{ApiKey, KeyRole, ListApiKeysRequest},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    change::{Expect, KeyFile, Request, json_of, kept},
    list::{Answer, Columns, List},
};
use crate::{client::Target, output::Output, show, wire_json};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
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
    Create(Create),
    /// List keys, the revoked ones too; secrets are not kept
    List(List),
    /// Let nobody in with it any more, and end what is open with it
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    #[arg(long, value_enum, default_value_t = RoleName::Standard)]
    role: RoleName,
    /// As the operator, with the operator's key: of this tenant, who may have lost all
    /// of its own
    #[arg(long, value_name = "UUID", value_parser = parse_tenant)]
    tenant: Option<Uuid>,
    #[command(flatten)]
    file: KeyFile,
    #[command(flatten)]
    request: Request,
}

/// With or without `tenants/`, as it is shown.
fn parse_tenant(text: &str) -> Result<Uuid, String> {
    let id = text.strip_prefix("tenants/").unwrap_or(text);
    Uuid::try_parse(id).map_err(|_| "expected a tenant's UUID, as `tenant show` prints it".into())
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The key's id, with or without apiKeys/
    id: String,
    #[command(flatten)]
    expect: Expect,
    #[command(flatten)]
    request: Request,
}

impl KeyCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            KeyCommand::Create(create) => create.run(target, out).await,
            KeyCommand::List(page) => list(page, target, out).await,
            KeyCommand::Revoke(revoke) => revoke.run(target, out).await,
        }
    }
}

impl Create {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let place = self.file.prepare()?;
        let client = match self.tenant {
            Some(_) => target.operator()?,
            None => target.command()?,
        };
        let request = CreateApiKeyRequest {
            request_id: self.request.id(),
            display_name: self.name,
            role: KeyRole::from(self.role).into(),
            tenant: (self.tenant).map_or_else(String::new, |id| format!("tenants/{id}")),
        };
        let answer = client.api_keys().create_api_key(request).await?;
        let answer = answer.into_inner();
        let key = answer.api_key.unwrap_or_default();
        let token = kept(target, &answer.token, out)?;
        let shown = place.deliver(&answer.secret)?;
        if out.is_json() {
            let key = wire_json::api(&key);
            out.json(&json!({ "apiKey": key, "secret": shown, "token": token }))?;
            return Ok(());
        }
        out.pairs(&[("id", key.name), ("key", shown), ("token", token)])?;
        Ok(())
    }
}

impl Revoke {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let name = match self.id.starts_with("apiKeys/") {
            true => self.id,
            false => format!("apiKeys/{}", self.id),
        };
        let request = RevokeApiKeyRequest {
            request_id: self.request.id(),
            name,
            expected_version: self.expect.expected_version,
        };
        let answer = target.command()?.api_keys().revoke_api_key(request).await?;
        let answer = answer.into_inner();
        let token = kept(target, &answer.token, out)?;
        let key = answer.api_key.unwrap_or_default();
        match (out.is_json(), answer.unchanged) {
            (true, unchanged) => out.json(&json_of("apiKey", &key, &token, unchanged))?,
            (false, true) => out.line(format!("{} was revoked already", key.name))?,
            (false, false) => out.line(format!("{} is revoked  (token {token})", key.name))?,
        }
        Ok(())
    }
}

const KEYS: Columns<ApiKey> = Columns {
    names: &["id", "name", "role", "issued", "revoked"],
    cells: |key| {
        let role = match key.role() {
            KeyRole::Unspecified => "-",
            KeyRole::Admin => "admin",
            KeyRole::Auditor => "auditor",
            KeyRole::Standard => "standard",
        };
        vec![
            key.name.trim_start_matches("apiKeys/").to_owned(),
            show::or_dash(&key.display_name),
            role.to_owned(),
            show::time(key.issue_time.as_ref()),
            show::time(key.revoke_time.as_ref()),
        ]
    },
};

async fn list(list: List, target: &Target, out: &mut Output) -> Result<()> {
    let mut tenancy = target.query()?.tenancy();
    let ask = async |page_size, page_token, consistency| {
        let request = ListApiKeysRequest {
            page_size,
            page_token,
            consistency,
        };
        let answer = tenancy.list_api_keys(request).await?.into_inner();
        Ok(Answer {
            rows: answer.api_keys,
            next_page_token: answer.next_page_token,
            seen: answer.seen,
        })
    };
    let topics = compline_tenancy::TOPICS;
    list.show(&KEYS, topics, target, out, ask).await
}
