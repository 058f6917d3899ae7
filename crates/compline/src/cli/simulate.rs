//! `compline simulate`: plays a life of ads and says what came of it.

use std::{io::IsTerminal as _, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;
use compline_api::query::GetTenantRequest;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use time::OffsetDateTime;

use super::send::Ingress;
use crate::{
    client::{Target, parse_duration},
    output::Output,
    show,
    simulate::{
        audience::Audience,
        generator::Plan,
        latency,
        run::{Pace, Report, play},
    },
    webhook::Sender,
};

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Changes a second
    #[arg(long, default_value_t = 500.0, value_parser = parse_rate)]
    rate: f64,
    /// How many ads
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ads: u32,
    /// For how long, such as 60s
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, default_value = "60s")]
    duration: Duration,
    /// Over how many ad accounts; they are connected first
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    accounts: u16,
    /// To how many tenants; all but the key's own are created first
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    tenants: u16,
    /// The same seed plays the same life [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How long readers may take to see the last change
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    settle: Duration,
    #[command(flatten)]
    ingress: Ingress,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("it is 0.01 to 1000000 changes a second".to_owned()),
    }
}

impl Simulate {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let begins_at = OffsetDateTime::now_utc().unix_timestamp();
        let seed = self.seed.unwrap_or(begins_at.unsigned_abs());
        let plan = self.plan(seed, begins_at);
        let poster = self.ingress.poster(target)?;
        let secret = self.ingress.secret_of(Sender::Meta, target)?;
        self.announce(target, out).await?;
        let tenants = usize::from(self.tenants);
        let audience = Audience::gather(target, plan.accounts.clone(), tenants, seed).await?;
        let pace = Pace {
            duration: self.duration,
            settle: self.settle,
        };

        let bar = progress_bar((self.rate * self.duration.as_secs_f64()) as u64);
        let ticking = bar.clone();
        let progress = move |changes: u32| ticking.inc(u64::from(changes));
        let report = play(plan, &pace, &audience, &poster, &secret, progress).await;
        bar.finish_and_clear();
        let report = report?;

        let mismatches = report.verdict.mismatches;
        let unseen = report.awaited - report.visible;
        match out.is_json() {
            true => show_json(report, seed, out)?,
            false => show_summary(report, seed, out)?,
        }
        out.flush()?;
        ensure!(
            unseen == 0,
            "{unseen} changes were not seen in time, and {mismatches} rows are not as they must \
             be; a reader that is behind (`compline lag`) explains both, and --settle waits longer"
        );
        ensure!(mismatches == 0, "{mismatches} rows are not as they must be");
        Ok(())
    }

    /// Says where all this goes before any of it does.
    async fn announce(&self, target: &Target, out: &mut Output) -> Result<()> {
        let request = GetTenantRequest::default();
        let tenant = target.query()?.tenancy().get_tenant(request).await?;
        let tenant = tenant.into_inner().tenant.unwrap_or_default();
        let others = match self.tenants {
            1 => String::new(),
            2 => " and a new one".to_owned(),
            tenants => format!(" and {} new ones", tenants - 1),
        };
        out.note(&format!(
            "this fills the tenant {:?} ({}){others} with {} ads of {} new ad accounts, and they stay",
            tenant.display_name,
            tenant.name,
            show::count(u64::from(self.ads)),
            self.accounts,
        ))?;
        Ok(())
    }

    /// Ids that no earlier run of the same folder has used, unless it began in the
    /// same second with the same seed.
    fn plan(&self, seed: u64, begins_at: i64) -> Plan {
        let run = seed.wrapping_mul(31).wrapping_add(begins_at.unsigned_abs()) % 10_000_000;
        Plan {
            seed,
            accounts: (0..self.accounts)
                .map(|index| format!("7{run:07}{index:04}"))
                .collect(),
            ads: self.ads,
            first_ad: 238_000_000_000_000_000 + run * 10_000_000,
            begins_at,
            rate: self.rate,
        }
    }
}

/// Hidden where standard error is no terminal.
fn progress_bar(changes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{elapsed_precise} [{bar:40}] {human_pos}/{human_len} changes, {per_sec}",
    )
    .expect("the template is part of the source");
    ProgressBar::new(changes).with_style(style)
}

fn show_summary(report: Report, seed: u64, out: &mut Output) -> Result<()> {
    let Report {
        mut tally,
        kinds,
        changes,
        elapsed,
        awaited,
        visible,
        mut visible_latencies,
        verdict,
    } = report;
    for (kind, count) in &kinds {
        out.line(format!("{:<18} {:>10}", kind.as_str(), show::count(*count)))?;
    }
    let seconds = elapsed.as_secs_f64();
    out.line("")?;
    out.pairs(&[
        ("seed", seed.to_string()),
        (
            "sent",
            format!(
                "{} deliveries, {} changes in {seconds:.1} s ({:.0} changes/s)",
                show::count(tally.sent),
                show::count(changes),
                changes as f64 / seconds
            ),
        ),
        (
            "acknowledged",
            format!(
                "{}  p50 {}  p99 {}",
                show::count(tally.acknowledged),
                latency::show(tally.latencies.quantile(0.5)),
                latency::show(tally.latencies.quantile(0.99)),
            ),
        ),
        (
            "refused",
            format!(
                "{} (and {} tried again) {}",
                show::count(tally.refused),
                show::count(tally.retried),
                tally
                    .refusals
                    .iter()
                    .map(|(status, count)| format!("{status}: {count}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        ),
        (
            "visible",
            format!(
                "{} of {} current changes  p50 {}  p99 {}",
                show::count(visible),
                show::count(awaited),
                latency::show(visible_latencies.quantile(0.5)),
                latency::show(visible_latencies.quantile(0.99)),
            ),
        ),
        (
            "rows compared",
            format!(
                "{}, {} wrong, {} in doubt",
                show::count(verdict.ads),
                show::count(verdict.mismatches),
                show::count(verdict.in_doubt),
            ),
        ),
    ])?;
    for example in &verdict.examples {
        out.line(format!("wrong: {}", crate::output::printable(example)))?;
    }
    Ok(())
}

fn show_json(report: Report, seed: u64, out: &mut Output) -> Result<()> {
    let Report {
        mut tally,
        kinds,
        changes,
        elapsed,
        awaited,
        visible,
        mut visible_latencies,
        verdict,
    } = report;
    let millis = |latency: Option<Duration>| latency.map(|l| l.as_secs_f64() * 1000.0);
    let kinds: serde_json::Map<String, serde_json::Value> = kinds
        .iter()
        .map(|(kind, count)| (kind.as_str().to_owned(), (*count).into()))
        .collect();
    out.json(&json!({
        "seed": seed,
        "elapsedSeconds": elapsed.as_secs_f64(),
        "deliveries": kinds,
        "sent": tally.sent,
        "changes": changes,
        "acknowledged": tally.acknowledged,
        "refused": tally.refused,
        "retried": tally.retried,
        "refusals": tally.refusals,
        "awaited": awaited,
        "visible": visible,
        "acknowledgedMs": {
            "p50": millis(tally.latencies.quantile(0.5)),
            "p99": millis(tally.latencies.quantile(0.99)),
        },
        "visibleMs": {
            "p50": millis(visible_latencies.quantile(0.5)),
            "p99": millis(visible_latencies.quantile(0.99)),
        },
        "rows": {
            "compared": verdict.ads,
            "wrong": verdict.mismatches,
            "inDoubt": verdict.in_doubt,
            "examples": verdict.examples,
        },
    }))?;
    Ok(())
}
