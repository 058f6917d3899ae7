//! `compline account`: which ad accounts a tenant watches.

use anyhow::Result;
use clap::Subcommand;
use compline_api::{
    command::{ConnectAccountRequest, DisconnectAccountRequest},
    query::{Account, ListAccountsRequest, Position},
};
use compline_event::AdAccountId;

use super::{
    ads::{Page, finish, show_table},
    change::{Expect, Request, changed},
};
use crate::{
    client::{Freshness, Target, token_text},
    output::Output,
    show, wire_json,
};

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Watch an ad account from here on, and what came in the last 36 h
    Connect {
        /// Digits, with or without act_
        id: AdAccountId,
        /// What people call it
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request: Request,
    },
    /// Watch it no longer
    Disconnect {
        /// Digits, with or without act_
        id: AdAccountId,
        #[command(flatten)]
        expect: Expect,
        #[command(flatten)]
        request: Request,
    },
    /// List the accounts, the disconnected ones too
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        freshness: Freshness,
    },
}

impl AccountCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            AccountCommand::Connect {
                id,
                name,
                expect,
                request,
            } => {
                let answer = target
                    .command()?
                    .accounts()
                    .connect_account(ConnectAccountRequest {
                        request_id: request.id(),
                        ad_account_id: id.to_string(),
                        display_name: name,
                        expected_version: expect.expected_version,
                    })
                    .await?
                    .into_inner();
                show_account(out, answer.account.unwrap_or_default(), &answer.token)
            }
            AccountCommand::Disconnect {
                id,
                expect,
                request,
            } => {
                let answer = target
                    .command()?
                    .accounts()
                    .disconnect_account(DisconnectAccountRequest {
                        request_id: request.id(),
                        ad_account_id: id.to_string(),
                        expected_version: expect.expected_version,
                    })
                    .await?
                    .into_inner();
                show_account(out, answer.account.unwrap_or_default(), &answer.token)
            }
            AccountCommand::List { page, freshness } => {
                list_accounts(page, freshness, target, out).await
            }
        }
    }
}

const ACCOUNT_COLUMNS: [&str; 6] = ["account", "name", "connected", "since", "status", "version"];

fn account_row(account: &Account) -> Vec<String> {
    vec![
        account.name.trim_start_matches("accounts/").to_owned(),
        show::or_dash(&account.display_name),
        show::yes_no(account.connected).to_owned(),
        show::time(account.connect_time.as_ref()),
        account_status(account.status),
        account.version.to_string(),
    ]
}

/// Meta's account_status; from its Marketing API reference, AdAccount.
fn account_status(status: i32) -> String {
    let name = match status {
        0 => return "-".to_owned(),
        1 => "ACTIVE",
        2 => "DISABLED",
        3 => "UNSETTLED",
        7 => "PENDING_RISK_REVIEW",
        8 => "PENDING_SETTLEMENT",
        9 => "IN_GRACE_PERIOD",
        100 => "PENDING_CLOSURE",
        101 => "CLOSED",
        201 => "ANY_ACTIVE",
        202 => "ANY_CLOSED",
        _ => "unknown",
    };
    format!("{name} ({status})")
}

fn show_account(out: &mut Output, account: Account, token: &[Position]) -> Result<()> {
    changed(out, "account", "compline.query.v1.Account", &account, token)?;
    if !out.is_json() {
        out.table(&ACCOUNT_COLUMNS, vec![account_row(&account)])?;
        out.line(format!("token {}", token_text(token)))?;
    }
    Ok(())
}

async fn list_accounts(
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
            .list_accounts(ListAccountsRequest {
                page_size: page.size(),
                page_token,
                consistency: freshness.consistency(),
            })
            .await?
            .into_inner();
        for account in &answer.accounts {
            if out.is_json() {
                out.json(&wire_json::api("compline.query.v1.Account", account))?;
            } else {
                rows.push(account_row(account));
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() || !page.all {
            show_table(out, &ACCOUNT_COLUMNS, rows)?;
            return finish(out, answer.seen.as_ref(), &page_token);
        }
    }
}
