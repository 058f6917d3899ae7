//! `compline tenant`: who pays for compline.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use compline_api::{command::CreateTenantRequest, query::GetTenantRequest};
use serde_json::json;

use super::{
    ads::finish,
    change::{Request, deliver_secret},
};
use crate::{
    client::{Freshness, Target, token_text},
    output::Output,
    show, wire_json,
};

#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Create a tenant and its first admin key; with the operator's key
    Create {
        /// 1 to 200 characters
        name: String,
        /// Write the key to this file (mode 0600) instead of printing it
        #[arg(long, value_name = "FILE")]
        write_key: Option<PathBuf>,
        #[command(flatten)]
        request: Request,
    },
    /// Show the key's own tenant
    Show {
        #[command(flatten)]
        freshness: Freshness,
    },
}

impl Tenant {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            Tenant::Create {
                name,
                write_key,
                request,
            } => {
                let answer = target
                    .operator()?
                    .tenants()
                    .create_tenant(CreateTenantRequest {
                        request_id: request.id(),
                        display_name: name,
                    })
                    .await?
                    .into_inner();
                let tenant = answer.tenant.unwrap_or_default();
                let shown = deliver_secret(&answer.api_key, write_key)?;
                if out.is_json() {
                    let tenant = wire_json::api("compline.query.v1.Tenant", &tenant);
                    let token = token_text(&answer.token);
                    out.json(&json!({ "tenant": tenant, "apiKey": shown, "token": token }))?;
                    return Ok(());
                }
                out.pairs(&[
                    ("tenant", tenant.name),
                    ("name", tenant.display_name),
                    ("key", shown),
                    ("token", token_text(&answer.token)),
                ])?;
                Ok(())
            }
            Tenant::Show { freshness } => {
                let answer = target
                    .query()?
                    .tenancy()
                    .get_tenant(GetTenantRequest {
                        consistency: freshness.consistency(),
                    })
                    .await?
                    .into_inner();
                let tenant = answer.tenant.unwrap_or_default();
                if out.is_json() {
                    out.json(&wire_json::api("compline.query.v1.Tenant", &tenant))?;
                } else {
                    out.pairs(&[
                        ("tenant", tenant.name.clone()),
                        ("name", tenant.display_name.clone()),
                        ("created", show::time(tenant.create_time.as_ref())),
                        ("version", tenant.version.to_string()),
                    ])?;
                }
                finish(out, answer.seen.as_ref(), "")
            }
        }
    }
}
