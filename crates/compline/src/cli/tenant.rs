//! `compline tenant`: who pays for compline.

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::{command::CreateTenantRequest, query::GetTenantRequest};
use serde_json::json;

use super::{
    change::{KeyFile, Request, kept},
    list::show_seen,
};
use crate::{
    client::{Freshness, Target},
    output::Output,
    show, wire_json,
};

#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Create a tenant and its first admin key; with the operator's key
    Create(Create),
    /// Show the key's own tenant
    Show {
        #[command(flatten)]
        freshness: Freshness,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// 1 to 200 characters
    name: String,
    #[command(flatten)]
    file: KeyFile,
    #[command(flatten)]
    request: Request,
}

impl Tenant {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            Tenant::Create(create) => create.run(target, out).await,
            Tenant::Show { freshness } => show_own(&freshness, target, out).await,
        }
    }
}

impl Create {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let place = self.file.prepare()?;
        let request = CreateTenantRequest {
            request_id: self.request.id(),
            display_name: self.name,
        };
        let answer = target.operator()?.tenants().create_tenant(request).await?;
        let answer = answer.into_inner();
        let tenant = answer.tenant.unwrap_or_default();
        let token = kept(target, &answer.token, out)?;
        let shown = place.deliver(&answer.api_key)?;
        if out.is_json() {
            let tenant = wire_json::api(&tenant);
            out.json(&json!({ "tenant": tenant, "apiKey": shown, "token": token }))?;
            return Ok(());
        }
        out.pairs(&[
            ("tenant", tenant.name),
            ("name", tenant.display_name),
            ("key", shown),
            ("token", token),
        ])?;
        Ok(())
    }
}

async fn show_own(freshness: &Freshness, target: &Target, out: &mut Output) -> Result<()> {
    let request = GetTenantRequest {
        consistency: freshness.consistency(target, compline_tenancy::TOPICS),
    };
    let answer = target.query()?.tenancy().get_tenant(request).await?;
    let answer = answer.into_inner();
    let tenant = answer.tenant.unwrap_or_default();
    if out.is_json() {
        out.json(&wire_json::api(&tenant))?;
    } else {
        out.pairs(&[
            ("tenant", tenant.name.clone()),
            ("name", tenant.display_name.clone()),
            ("created", show::time(tenant.create_time.as_ref())),
            ("version", tenant.version.to_string()),
        ])?;
    }
    show_seen(answer.seen.as_ref(), out)
}
