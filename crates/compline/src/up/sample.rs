//! A tenant to try things with, made the first time through the same doors as any
//! other.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use compline_api::{
    command::{ConnectAccountRequest, CreateTenantRequest},
    key::ApiKey,
    query::GetTenantRequest,
};
use tokio::time::{Instant, sleep};
use tonic::Code;
use uuid::Uuid;

use crate::{
    client::Client,
    street::{Addresses, Street, write_private},
    webhook::sample::ACCOUNT,
};

const TENANT: &str = "Sample";

/// A key that was issued just before a crash may be known only after some events.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// The key in the data folder, which the command-line tools show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnKey {
    /// With a new tenant, which watches `account`.
    Made { tenant: String, account: String },
    /// It was there.
    Kept,
    /// It was there, and lets nobody in: revoked, misspelt, or of another street.
    Refused,
}

/// Makes the tenant unless the folder has a key. The key is written last: a start
/// that was killed on the way makes another tenant, for a key is shown only once.
pub(super) async fn ensure(
    street: &Street,
    addresses: &Addresses,
    operator: &ApiKey,
) -> Result<OwnKey> {
    let path = street.api_key_file();
    if path.try_exists().context("the sample tenant's key")? {
        let key = fs::read_to_string(&path);
        let key = key.with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(try_key(addresses, key.trim()).await);
    }
    let url = format!("http://{}", addresses.command);
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
    Ok(OwnKey::Made {
        tenant: TENANT.to_owned(),
        account: ACCOUNT.to_owned(),
    })
}

/// A start is not lost over a key that is no use: the street has other callers.
async fn try_key(addresses: &Addresses, key: &str) -> OwnKey {
    let Ok(client) = Client::connect(&format!("http://{}", addresses.query), key) else {
        return OwnKey::Refused;
    };
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let mut tenancy = client.tenancy();
        match tenancy.get_tenant(GetTenantRequest::default()).await {
            Ok(_) => return OwnKey::Kept,
            Err(status) if status.code() != Code::Unauthenticated => {
                tracing::warn!(%status, "the key in the data folder could not be tried");
                return OwnKey::Kept;
            }
            Err(_) if Instant::now() > deadline => return OwnKey::Refused,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
