//! A tenant to try things with, made the first time through the same doors as any
//! other.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use compline_api::{
    command::{ConnectAccountRequest, CreateTenantRequest},
    key::ApiKey,
};
use uuid::Uuid;

use crate::{
    client::Client,
    street::{Street, write_private},
    webhook::sample::ACCOUNT,
};

const TENANT: &str = "Sample";

/// What was made.
#[derive(Debug, Clone)]
pub struct Sample {
    pub tenant: String,
    pub account: String,
}

/// Makes the tenant unless the folder has a key. The key is written last: a start
/// that was killed on the way makes another tenant, for a key is shown only once.
pub(super) async fn ensure(
    street: &Street,
    command: SocketAddr,
    operator: &ApiKey,
) -> Result<Option<Sample>> {
    let path = street.api_key_file();
    if path.try_exists().context("the sample tenant's key")? {
        return Ok(None);
    }
    let url = format!("http://{command}");
    let created = Client::connect(&url, &operator.reveal())?
        .tenants()
        .create_tenant(CreateTenantRequest {
            request_id: Uuid::now_v7().to_string(),
            display_name: TENANT.to_owned(),
        })
        .await?
        .into_inner();
    Client::connect(&url, &created.api_key)?
        .accounts()
        .connect_account(ConnectAccountRequest {
            request_id: Uuid::now_v7().to_string(),
            ad_account_id: ACCOUNT.to_owned(),
            display_name: "Sample account".to_owned(),
            expected_version: None,
        })
        .await?;
    write_private(&path, &format!("{}\n", created.api_key))?;
    Ok(Some(Sample {
        tenant: TENANT.to_owned(),
        account: ACCOUNT.to_owned(),
    }))
}
