//! What all lists have in common: pages, rows as a table or as lines of JSON, and what
//! stands behind them.

use anyhow::Result;
use clap::Args;
use compline_api::query::{Consistency, Seen};
use compline_event::Topic;
use prost::{Message, Name};
use serde_json::json;

use crate::{
    client::{Freshness, Target},
    output::{Output, printable},
    wire_json,
};

/// Of a list that takes no more than every list does.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    freshness: Freshness,
}

impl List {
    /// As [`Page::show`], of a read model that is folded of `topics`.
    pub(super) async fn show<Row: Message + Name>(
        &self,
        columns: &Columns<Row>,
        topics: &[Topic],
        target: &Target,
        out: &mut Output,
        mut ask: impl AsyncFnMut(i32, String, Option<Consistency>) -> Result<Answer<Row>>,
    ) -> Result<()> {
        let consistency = self.freshness.consistency(target, topics);
        let ask = async |size, page_token| ask(size, page_token, consistency.clone()).await;
        self.page.show(columns, out, ask).await
    }
}

/// Which part of a list.
#[derive(Debug, Args)]
pub(super) struct Page {
    /// How many at once, 1 to 1000 [default: 50; with --all 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    page_size: Option<i32>,
    /// Go on behind an earlier page
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    page_token: String,
    /// All pages
    #[arg(long)]
    all: bool,
}

/// One page, as the service answered it.
pub(super) struct Answer<Row> {
    pub(super) rows: Vec<Row>,
    pub(super) next_page_token: String,
    pub(super) seen: Option<Seen>,
}

/// Rows as people read them.
pub(super) struct Columns<Row> {
    pub(super) names: &'static [&'static str],
    pub(super) cells: fn(&Row) -> Vec<String>,
}

impl<Row: Message + Name> Columns<Row> {
    /// For rows that come at once, and from no list.
    pub(super) fn show(&self, rows: &[Row], out: &mut Output) -> Result<()> {
        if !out.is_json() {
            out.table(self.names, rows.iter().map(self.cells).collect())?;
            return Ok(());
        }
        for row in rows {
            out.json(&wire_json::api(row))?;
        }
        Ok(())
    }
}

impl Page {
    /// Prints the page that `ask` gives for a size and a token, or every page.
    pub(super) async fn show<Row: Message + Name>(
        &self,
        columns: &Columns<Row>,
        out: &mut Output,
        mut ask: impl AsyncFnMut(i32, String) -> Result<Answer<Row>>,
    ) -> Result<()> {
        let size = self.page_size.unwrap_or(if self.all { 1000 } else { 0 });
        let mut page_token = self.page_token.clone();
        let mut cells = Vec::new();
        loop {
            let answer = ask(size, page_token).await?;
            // A table is as wide as its widest row; lines of JSON need not wait.
            match out.is_json() {
                true => columns.show(&answer.rows, out)?,
                false => cells.extend(answer.rows.iter().map(columns.cells)),
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() || !self.all {
                if !out.is_json() {
                    out.table(columns.names, cells)?;
                }
                show_more(&page_token, out)?;
                return show_seen(answer.seen.as_ref(), out);
            }
        }
    }
}

/// Where the list goes on, when it does.
fn show_more(next_page_token: &str, out: &mut Output) -> Result<()> {
    if next_page_token.is_empty() {
        return Ok(());
    }
    match out.is_json() {
        true => out.json(&json!({ "nextPageToken": next_page_token }))?,
        false => out.line(format!("more: --page-token {next_page_token} (or --all)"))?,
    }
    Ok(())
}

/// Why an answer is not the whole truth, when it is not.
pub(super) fn show_seen(seen: Option<&Seen>, out: &mut Output) -> Result<()> {
    let Some(seen) = seen else { return Ok(()) };
    if seen.stale {
        out.note(
            "stale: the read has not come in time to --token, or to what earlier commands did",
        )?;
    }
    if !seen.parked_keys.is_empty() {
        let keys = printable(&seen.parked_keys.join(", "));
        out.note(&format!("parked, so their rows stand still: {keys}"))?;
    }
    Ok(())
}
