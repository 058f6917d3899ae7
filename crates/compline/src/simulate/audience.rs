//! Who watches the ads of a simulated life: tenants, their keys, and which of
//! them watches which account.

use anyhow::{Context as _, Result, ensure};
use compline_api::command::{ConnectAccountRequest, CreateTenantRequest};
use uuid::Uuid;

use crate::client::{Client, Target};

/// Tenants with their accounts. The first account is everybody's, for an account
/// may belong to several tenants; the others are dealt in turn.
#[derive(Debug)]
pub struct Audience {
    pub accounts: Vec<String>,
    pub tenants: Vec<Viewer>,
}

/// One tenant's eyes.
#[derive(Debug)]
pub struct Viewer {
    /// For people.
    pub name: String,
    pub query: Client,
    /// Indices into [`Audience::accounts`].
    pub accounts: Vec<usize>,
}

/// Which of `tenants` watch the account of this index.
pub fn tenants_of(account: usize, tenants: usize) -> Vec<usize> {
    match account {
        0 => (0..tenants).collect(),
        account => vec![account % tenants],
    }
}

impl Audience {
    /// The caller's own tenant and `tenants - 1` new ones, with all accounts
    /// connected.
    pub async fn gather(
        target: &Target,
        accounts: Vec<String>,
        tenants: usize,
        seed: u64,
    ) -> Result<Self> {
        ensure!(tenants > 0 && !accounts.is_empty(), "nobody to play for");
        let mut viewers = Vec::with_capacity(tenants);
        for index in 0..tenants {
            let (name, key) = match index {
                0 => ("this key's tenant".to_owned(), target.api_key()?),
                index => create_tenant(target, &format!("Simulated {seed}/{index}")).await?,
            };
            let mine: Vec<usize> = (0..accounts.len())
                .filter(|account| tenants_of(*account, tenants).contains(&index))
                .collect();
            let command = Client::connect(&target.command_url()?, &key)?;
            for account in &mine {
                connect(&command, &accounts[*account]).await?;
            }
            viewers.push(Viewer {
                name,
                query: Client::connect(&target.query_url()?, &key)?,
                accounts: mine,
            });
        }
        Ok(Self {
            accounts,
            tenants: viewers,
        })
    }
}

async fn create_tenant(target: &Target, name: &str) -> Result<(String, String)> {
    let answer = target
        .operator()?
        .tenants()
        .create_tenant(CreateTenantRequest {
            request_id: Uuid::now_v7().to_string(),
            display_name: name.to_owned(),
        })
        .await
        .context("creating a tenant")?
        .into_inner();
    Ok((name.to_owned(), answer.api_key))
}

async fn connect(command: &Client, account: &str) -> Result<()> {
    command
        .accounts()
        .connect_account(ConnectAccountRequest {
            request_id: Uuid::now_v7().to_string(),
            ad_account_id: account.to_owned(),
            display_name: format!("Simulated {account}"),
            expected_version: None,
        })
        .await
        .with_context(|| format!("connecting account {account}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::tenants_of;

    #[test]
    fn every_tenant_has_the_first_account_and_every_account_somebody() {
        assert_eq!(tenants_of(0, 3), [0, 1, 2]);
        assert_eq!(tenants_of(4, 3), [1]);
        assert_eq!(tenants_of(7, 1), [0]);
    }
}
