//! `compline ads`: what the ads are doing.

use anyhow::Result;
use clap::{Args, Subcommand};
use compline_api::query::{
    Ad, AdLevel, AdStatusChange, CountAdsRequest, GetAdRequest, ListAdHistoryRequest,
    ListAdsRequest, Seen, WatchAdsRequest, watch_ads_response::Event,
};
use serde_json::json;

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
    History(History),
    /// Show what matches now, then every change, until interrupted
    Watch(Watch),
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

/// Which part of a list.
#[derive(Debug, Args)]
pub(super) struct Page {
    /// How many at once, 1 to 1000 [default: 50; with --all 1000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) page_size: Option<i32>,
    /// Go on behind an earlier page
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) page_token: String,
    /// All pages
    #[arg(long)]
    pub(super) all: bool,
}

impl Page {
    pub(super) fn size(&self) -> i32 {
        self.page_size.unwrap_or(if self.all { 1000 } else { 0 })
    }
}

#[derive(Debug, Args)]
struct One {
    /// The ad's id, with or without ads/
    ad: String,
    #[command(flatten)]
    freshness: Freshness,
}

#[derive(Debug, Args)]
struct History {
    /// The ad's id, with or without ads/
    ad: String,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

#[derive(Debug, Args)]
struct Watch {
    /// As in `ads list`
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Go on behind the last token of an earlier watch with the same filter
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    resume: String,
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

impl List {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut ads = target.query()?.ads();
        let mut rows = Vec::new();
        let mut page_token = self.page.page_token.clone();
        loop {
            let answer = ads
                .list_ads(ListAdsRequest {
                    page_size: self.page.size(),
                    page_token,
                    filter: self.filter.clone(),
                    order_by: self.order_by.clone(),
                    consistency: self.freshness.consistency(),
                })
                .await?
                .into_inner();
            for ad in &answer.ads {
                if out.is_json() {
                    out.json(&wire_json::api("compline.query.v1.Ad", ad))?;
                } else {
                    rows.push(ad_row(ad));
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || !self.page.all {
                show_table(out, &AD_COLUMNS, rows)?;
                return finish(out, answer.seen.as_ref(), &page_token);
            }
        }
    }
}

const AD_COLUMNS: [&str; 8] = [
    "ad", "account", "level", "status", "since", "before", "issues", "note",
];

fn ad_row(ad: &Ad) -> Vec<String> {
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
}

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

impl One {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let answer = target
            .query()?
            .ads()
            .get_ad(GetAdRequest {
                name: resource_name(&self.ad),
                consistency: self.freshness.consistency(),
            })
            .await?
            .into_inner();
        let ad = answer.ad.unwrap_or_default();
        if out.is_json() {
            out.json(&wire_json::api("compline.query.v1.Ad", &ad))?;
            return finish(out, answer.seen.as_ref(), "");
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
        finish(out, answer.seen.as_ref(), "")
    }
}

impl History {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut ads = target.query()?.ads();
        let mut rows = Vec::new();
        let mut page_token = self.page.page_token.clone();
        loop {
            let answer = ads
                .list_ad_history(ListAdHistoryRequest {
                    parent: resource_name(&self.ad),
                    page_size: self.page.size(),
                    page_token,
                    consistency: self.freshness.consistency(),
                })
                .await?
                .into_inner();
            for change in &answer.changes {
                if out.is_json() {
                    out.json(&wire_json::api("compline.query.v1.AdStatusChange", change))?;
                } else {
                    rows.push(change_row(change));
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || !self.page.all {
                show_table(
                    out,
                    &["changed", "from", "to", "note", "recorded", "at", "event"],
                    rows,
                )?;
                return finish(out, answer.seen.as_ref(), &page_token);
            }
        }
    }
}

fn change_row(change: &AdStatusChange) -> Vec<String> {
    let note = match (change.late, change.fetch_needed) {
        (true, _) => "late",
        (false, true) => "to be fetched",
        (false, false) => &change.reason,
    };
    // The record itself, not the place behind it: `replay --from` takes it.
    let at = change.position.as_ref().map_or_else(String::new, |at| {
        format!("{}/{}@{}", at.topic, at.partition, at.next_offset - 1)
    });
    vec![
        show::time(change.change_time.as_ref()),
        show::or_dash(&change.old_status),
        show::or_dash(&change.new_status),
        note.to_owned(),
        show::time(change.record_time.as_ref()),
        at,
        change.event_id.clone(),
    ]
}

impl Watch {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut changes = target
            .query()?
            .ads()
            .watch_ads(WatchAdsRequest {
                filter: self.filter,
                resume_token: self.resume,
            })
            .await?
            .into_inner();
        while let Some(answer) = changes.message().await? {
            if out.is_json() {
                out.json(&wire_json::api(
                    "compline.query.v1.WatchAdsResponse",
                    &answer,
                ))?;
                out.flush()?;
                continue;
            }
            match answer.event {
                Some(Event::Changed(ad)) => out.line(format!(
                    "{}  {}  {} -> {}  {}",
                    show::time(ad.update_time.as_ref()),
                    printable(&ad.ad_id),
                    printable(&show::or_dash(&ad.old_status)),
                    printable(&show::or_dash(&ad.status)),
                    printable(&note(&ad)),
                ))?,
                Some(Event::Unmatched(name)) => {
                    out.line(format!("no longer matches: {}", printable(&name)))?;
                }
                Some(Event::CaughtUp(_)) => out.line("-- caught up; changes follow --")?,
                Some(Event::Restarted(_)) => {
                    out.line("-- too slow: starting over from what matches now --")?;
                }
                None => {}
            }
            out.flush()?;
        }
        anyhow::bail!("the watch was ended by the server")
    }
}

impl Count {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let answer = target
            .query()?
            .ads()
            .count_ads(CountAdsRequest {
                ad_account_id: self.account,
                consistency: self.freshness.consistency(),
            })
            .await?
            .into_inner();
        let mut rows = Vec::new();
        for count in &answer.counts {
            if out.is_json() {
                out.json(&wire_json::api("compline.query.v1.AdCount", count))?;
            } else {
                rows.push(vec![
                    count.ad_account_id.clone(),
                    show::or_dash(&count.status),
                    count.ads.to_string(),
                ]);
            }
        }
        show_table(out, &["account", "status", "ads"], rows)?;
        finish(out, answer.seen.as_ref(), "")
    }
}

/// The table of a list; in JSON its rows have been printed as they came.
pub(super) fn show_table(out: &mut Output, columns: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    if !out.is_json() {
        out.table(columns, rows)?;
    }
    Ok(())
}

/// What stands behind every list: where it goes on, and whether it is not
/// the whole truth. A machine gets one more line only when there is more to say.
pub(super) fn finish(out: &mut Output, seen: Option<&Seen>, next_page_token: &str) -> Result<()> {
    if !next_page_token.is_empty() {
        match out.is_json() {
            true => out.json(&json!({ "nextPageToken": next_page_token }))?,
            false => out.line(format!("more: --page-token {next_page_token} (or --all)"))?,
        }
    }
    let Some(seen) = seen else { return Ok(()) };
    if seen.stale {
        out.note("stale: the read model has not reached the token yet")?;
    }
    if !seen.parked_keys.is_empty() {
        let keys = printable(&seen.parked_keys.join(", "));
        out.note(&format!("parked, so their rows stand still: {keys}"))?;
    }
    Ok(())
}
