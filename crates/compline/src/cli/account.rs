//! `compline account`: which ad accounts a tenant watches.

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::{
    command::{ConnectAccountRequest, DisconnectAccountRequest},
    query::{Account, ListAccountsRequest},
};
use compline_event::{AdAccountId, account::status_name};

use super::{
    change::{Expect, Request, json_of, kept},
    list::{Answer, Columns, List},
    wait::Wait,
};
use crate::{client::Target, output::Output, show};

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Watch an ad account from here on, and what came in the last 36 h
    Connect(Connect),
    /// Watch it no longer
    Disconnect(Change),
    /// List the accounts, the disconnected ones too
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct Connect {
    #[command(flatten)]
    account: Change,
    /// What people call it [default: as it is]
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
}

/// Of which account, and how.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Digits, with or without act_
    id: AdAccountId,
    #[command(flatten)]
    expect: Expect,
    #[command(flatten)]
    request: Request,
    #[command(flatten)]
    wait: Wait,
}

impl AccountCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            AccountCommand::Connect(connect) => connect.run(target, out).await,
            AccountCommand::Disconnect(account) => account.disconnect(target, out).await,
            AccountCommand::List(page) => list(page, target, out).await,
        }
    }
}

impl Connect {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let request = ConnectAccountRequest {
            request_id: self.account.request.id(),
            ad_account_id: self.account.id.to_string(),
            display_name: self.name,
            expected_version: self.account.expect.expected_version,
        };
        let mut accounts = target.command()?.accounts();
        let answer = accounts.connect_account(request).await?.into_inner();
        let token = kept(target, &answer.token, out)?;
        let account = answer.account.unwrap_or_default();
        show_account(&account, &token, answer.unchanged, out)?;
        self.account.wait.settle(target, out).await
    }
}

impl Change {
    async fn disconnect(self, target: &Target, out: &mut Output) -> Result<()> {
        let request = DisconnectAccountRequest {
            request_id: self.request.id(),
            ad_account_id: self.id.to_string(),
            expected_version: self.expect.expected_version,
        };
        let mut accounts = target.command()?.accounts();
        let answer = accounts.disconnect_account(request).await?.into_inner();
        let token = kept(target, &answer.token, out)?;
        let account = answer.account.unwrap_or_default();
        show_account(&account, &token, answer.unchanged, out)?;
        self.wait.settle(target, out).await
    }
}

const ACCOUNTS: Columns<Account> = Columns {
    names: &["account", "name", "connected", "since", "status", "version"],
    cells: |account| {
        let since = account.connect_time.as_ref().filter(|_| account.connected);
        vec![
            account.name.trim_start_matches("accounts/").to_owned(),
            show::or_dash(&account.display_name),
            show::yes_no(account.connected).to_owned(),
            show::time(since),
            account_status(account.status),
            account.version.to_string(),
        ]
    },
};

fn account_status(status: i32) -> String {
    match (status, status_name(status)) {
        (0, _) => "-".to_owned(),
        (_, name) => format!("{} ({status})", name.unwrap_or("unknown")),
    }
}

fn show_account(account: &Account, token: &str, unchanged: bool, out: &mut Output) -> Result<()> {
    if out.is_json() {
        out.json(&json_of("account", account, token, unchanged))?;
        return Ok(());
    }
    ACCOUNTS.show(std::slice::from_ref(account), out)?;
    match (unchanged, account.connected) {
        (true, true) => out.line("It was connected already; nothing was changed.")?,
        (true, false) => out.line("It was disconnected already; nothing was changed.")?,
        (false, _) => out.line(format!("token {token}"))?,
    }
    Ok(())
}

async fn list(list: List, target: &Target, out: &mut Output) -> Result<()> {
    let mut tenancy = target.query()?.tenancy();
    let ask = async |page_size, page_token, consistency| {
        let request = ListAccountsRequest {
            page_size,
            page_token,
            consistency,
        };
        let answer = tenancy.list_accounts(request).await?.into_inner();
        Ok(Answer {
            rows: answer.accounts,
            next_page_token: answer.next_page_token,
            seen: answer.seen,
        })
    };
    let topics = compline_tenancy::TOPICS;
    list.show(&ACCOUNTS, topics, target, out, ask).await
}
