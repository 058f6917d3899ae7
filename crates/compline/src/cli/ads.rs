//! `compline ads`: what the ads are doing.

mod history;
mod watch;

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::query::{Ad, AdCount, AdLevel, CountAdsRequest, GetAdRequest, ListAdsRequest};

use super::list::{Answer, Columns, Page, show_seen};
use crate::{
    client::{Freshness, Target},
    output::{Output, printable},
    show, wire_json,
};

#[derive(Debug, Args)]
pub(super) struct Ads {
    #[command(subcommand)]
    command: AdsCommand,
}

#[derive(Debug, Subcommand)]
enum AdsCommand {
    /// List ads, a page or all
    List(List),
    /// Show one ad with its open issues
    Show(One),
    /// Show every status an ad has had, newest first
    History(history::History),
    /// Show what matches now, then every change, until interrupted
    Watch(watch::Watch),
    /// Count ads by account and status
    Count(Count),
}

#[derive(Debug, Args)]
struct List {
    /// AIP-160 over ad_id, ad_account_id, level, status, old_status, reason,
    /// fetch_needed, status_time, update_time, has_issues, such as:
    /// status = "DISAPPROVED" AND status_time > "2026-01-01T00:00:00Z"
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// ad_id, status_time or update_time, each with " desc" [default: ad_id]
    #[arg(long, default_value = "", hide_default_value = true)]
    order_by: String,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

#[derive(Debug, Args)]
struct One {
    /// The ad's id, with or without ads/
    ad: String,
    #[command(flatten)]
    freshness: Freshness,
}

#[derive(Debug, Args)]
struct Count {
    /// Only this account, digits without act_
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    account: String,
    #[command(flatten)]
    freshness: Freshness,
}

impl Ads {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self.command {
            AdsCommand::List(list) => list.run(target, out).await,
            AdsCommand::Show(one) => one.run(target, out).await,
            AdsCommand::History(history) => history.run(target, out).await,
            AdsCommand::Watch(watch) => watch.run(target, out).await,
            AdsCommand::Count(count) => count.run(target, out).await,
        }
    }
}

const ADS: Columns<Ad> = Columns {
    names: &[
        "ad", "account", "level", "status", "since", "before", "issues", "note",
    ],
    cells: |ad| {
        vec![
            ad.ad_id.clone(),
            ad.ad_account_id.clone(),
            level(ad.level()).to_owned(),
            show::or_dash(&ad.status),
            show::time(ad.status_time.as_ref()),
            show::or_dash(&ad.old_status),
            ad.open_issues.len().to_string(),
            note(ad),
        ]
    },
};

const COUNTS: Columns<AdCount> = Columns {
    names: &["account", "status", "ads"],
    cells: |count| {
        vec![
            count.ad_account_id.clone(),
            show::or_dash(&count.status),
            count.ads.to_string(),
        ]
    },
};

fn note(ad: &Ad) -> String {
    match ad.fetch_needed {
        true => "to be fetched".to_owned(),
        false => ad.reason.clone(),
    }
}

const fn level(level: AdLevel) -> &'static str {
    match level {
        AdLevel::Unspecified => "-",
        AdLevel::Ad => "ad",
        AdLevel::AdSet => "ad set",
        AdLevel::Campaign => "campaign",
        AdLevel::Account => "account",
    }
}

fn resource_name(ad: &str) -> String {
    match ad.starts_with("ads/") {
        true => ad.to_owned(),
        false => format!("ads/{ad}"),
    }
}

impl List {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut ads = target.query()?.ads();
        let consistency = self
            .freshness
            .consistency(target, compline_ad_status::TOPICS);
        let ask = async |page_size, page_token| {
            let request = ListAdsRequest {
                page_size,
                page_token,
                filter: self.filter.clone(),
                order_by: self.order_by.clone(),
                consistency: consistency.clone(),
            };
            let answer = ads.list_ads(request).await?.into_inner();
            Ok(Answer {
                rows: answer.ads,
                next_page_token: answer.next_page_token,
                seen: answer.seen,
            })
        };
        self.page.show(&ADS, out, ask).await
    }
}

impl One {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let request = GetAdRequest {
            name: resource_name(&self.ad),
            consistency: self
                .freshness
                .consistency(target, compline_ad_status::TOPICS),
        };
        let answer = target.query()?.ads().get_ad(request).await?.into_inner();
        let ad = answer.ad.unwrap_or_default();
        if out.is_json() {
            out.json(&wire_json::api(&ad))?;
            return show_seen(answer.seen.as_ref(), out);
        }
        out.pairs(&[
            ("ad", ad.ad_id.clone()),
            ("account", ad.ad_account_id.clone()),
            ("level", level(ad.level()).to_owned()),
            ("status", show::or_dash(&ad.status)),
            ("since", show::time(ad.status_time.as_ref())),
            ("before", show::or_dash(&ad.old_status)),
            ("reason", show::or_dash(&ad.reason)),
            ("placements", show::or_dash(&ad.placements.join(", "))),
            ("to be fetched", show::yes_no(ad.fetch_needed).to_owned()),
            ("updated", show::time(ad.update_time.as_ref())),
            ("version", ad.version.to_string()),
        ])?;
        for issue in &ad.open_issues {
            out.line(format!(
                "issue {}  {}  {}: {}",
                printable(&issue.error_code),
                show::time(issue.raise_time.as_ref()),
                printable(&issue.summary),
                printable(&issue.message),
            ))?;
        }
        show_seen(answer.seen.as_ref(), out)
    }
}

impl Count {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let request = CountAdsRequest {
            ad_account_id: self.account,
            consistency: self
                .freshness
                .consistency(target, compline_ad_status::TOPICS),
        };
        let answer = target.query()?.ads().count_ads(request).await?;
        let answer = answer.into_inner();
        COUNTS.show(&answer.counts, out)?;
        show_seen(answer.seen.as_ref(), out)
    }
}
