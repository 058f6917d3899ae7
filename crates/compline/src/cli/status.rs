//! `compline status` and `compline lag`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use compline_readmodel::Database;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::log::LogTarget;
use crate::{
    admin_client::{self, Sample},
    client::Target,
    config::{PostgresSettings, Settings},
    inspect::{Counts, Inspector},
    lag::{self, Lag},
    metric,
    output::Output,
    show,
    street::{Found, RunFile},
};

#[derive(Debug, Args)]
pub(super) struct LagCommand {
    #[command(flatten)]
    log: LogTarget,
}

impl LagCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let log = self.log.open(target)?;
        let mut inspector = Inspector::connect(&database(target)?).await?;
        let checkpoints = inspector.checkpoints().await?;
        let lags = lag::measure(&log, &checkpoints, OffsetDateTime::now_utc()).await?;
        if out.is_json() {
            for lag in &lags {
                out.json(&lag_json(lag))?;
            }
            return Ok(());
        }
        show_lags(out, &lags)
    }
}

/// How this command's roles enter the database.
pub(super) fn database(target: &Target) -> Result<Database> {
    postgres(target)?.database()
}

/// With `--config` its `[postgres]`, else the data folder's street.
pub(super) fn postgres(target: &Target) -> Result<PostgresSettings> {
    if target.config.is_some() {
        return Ok(Settings::load(target.config.as_deref())?.postgres);
    }
    let street = target.street().running()?;
    Ok(PostgresSettings::of_street(&street.database))
}

fn lag_json(lag: &Lag) -> Value {
    json!({
        "reader": lag.reader,
        "generation": lag.generation,
        "live": lag.live,
        "topic": lag.topic.as_str(),
        "partitions": lag.partitions,
        "behind": lag.behind,
        "oldestSeconds": lag.oldest_seconds,
    })
}

fn show_lags(out: &mut Output, lags: &[Lag]) -> Result<()> {
    let rows = lags
        .iter()
        .map(|lag| {
            vec![
                lag.reader.clone(),
                lag.generation.to_string(),
                show::yes_no(lag.live).to_owned(),
                lag.topic.to_string(),
                show::count(lag.behind),
                lag.oldest_seconds.map_or_else(|| "-".to_owned(), show::age),
            ]
        })
        .collect();
    let columns = [
        "reader",
        "generation",
        "live",
        "topic",
        "events behind",
        "oldest",
    ];
    out.table(&columns, rows)?;
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    log: LogTarget,
}

/// What a street says of itself.
struct Report {
    run_file: RunFile,
    serves: bool,
    checks: Value,
    lags: Vec<Lag>,
    counts: Counts,
    /// By topic.
    log_bytes: BTreeMap<String, u64>,
    /// By source and outcome, since the process started.
    webhooks: BTreeMap<(String, String), u64>,
}

impl Status {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let run_file = match target.street().find()? {
            Found::Running(run_file) => run_file,
            // A question with an answer is no failure; but scripts want to know.
            Found::Starting { .. } | Found::Stopping { .. } | Found::NotRunning
                if out.is_json() =>
            {
                out.json(&json!({ "running": false }))?;
                out.flush()?;
                target.street().running()?
            }
            _ => target.street().running()?,
        };
        let report = self.ask(run_file, target).await?;
        match out.is_json() {
            true => out.json(&report.to_json())?,
            false => report.show(out)?,
        }
        Ok(())
    }

    async fn ask(&self, run_file: RunFile, target: &Target) -> Result<Report> {
        let admin = format!("http://{}", run_file.addresses.admin);
        let (serves, checks) = admin_client::ready(&admin).await?;
        let samples = admin_client::metrics(&admin).await?;
        let log = self.log.open(target)?;
        let mut inspector = Inspector::connect(&database(target)?).await?;
        let checkpoints = inspector.checkpoints().await?;
        Ok(Report {
            serves,
            checks,
            lags: lag::measure(&log, &checkpoints, OffsetDateTime::now_utc()).await?,
            counts: inspector.counts().await?,
            log_bytes: samples
                .iter()
                .filter(|sample| sample.name == metric::TOPIC_BYTES)
                .map(|sample| (sample.label("topic").to_owned(), sample.value as u64))
                .collect(),
            webhooks: webhooks(&samples),
            run_file,
        })
    }
}

fn webhooks(samples: &[Sample]) -> BTreeMap<(String, String), u64> {
    samples
        .iter()
        .filter(|sample| sample.name == compline_ingress::metric::DELIVERIES)
        .map(|sample| {
            let (source, outcome) = (sample.label("source"), sample.label("outcome"));
            ((source.to_owned(), outcome.to_owned()), sample.value as u64)
        })
        .collect()
}

impl Report {
    fn to_json(&self) -> Value {
        let webhooks: Vec<Value> = self
            .webhooks
            .iter()
            .map(|((source, outcome), count)| {
                json!({ "source": source, "outcome": outcome, "count": count })
            })
            .collect();
        json!({
            "running": true,
            "pid": self.run_file.pid,
            "version": self.run_file.version,
            "startedAt": show::instant(self.run_file.started_at),
            "addresses": self.run_file.addresses,
            "serves": self.serves,
            "checks": self.checks,
            "readers": self.lags.iter().map(lag_json).collect::<Vec<_>>(),
            "logBytes": self.log_bytes,
            "databaseBytes": self.counts.database_bytes,
            "webhooks": webhooks,
            "pending": self.counts.pending,
            "expired": self.counts.expired,
            "unrecognized": self.counts.unrecognized,
            "parkedKeys": self.counts.parked_keys,
            "outbox": self.counts.outbox,
        })
    }

    fn show(&self, out: &mut Output) -> Result<()> {
        let up = OffsetDateTime::now_utc() - self.run_file.started_at;
        let at = &self.run_file.addresses;
        let counts = &self.counts;
        let number = |count: i64| show::count(u64::try_from(count).unwrap_or(0));
        out.pairs(&[
            (
                "running",
                format!(
                    "process {}, version {}, for {}",
                    self.run_file.pid,
                    self.run_file.version,
                    show::age(up.as_seconds_f64())
                ),
            ),
            ("works", self.health()),
            (
                "doors",
                format!(
                    "webhooks {}, query {}, command {}, admin {}, log {}, PostgreSQL {}",
                    at.ingress, at.query, at.command, at.admin, at.kafka, at.postgres
                ),
            ),
            (
                "log",
                match self.log_bytes.values().sum() {
                    0 => "on a cluster, whose brokers know its size".to_owned(),
                    bytes => format!("{} ({})", show::bytes(bytes), self.topics()),
                },
            ),
            (
                "database",
                show::bytes(u64::try_from(counts.database_bytes).unwrap_or(0)),
            ),
            ("webhooks", self.outcomes()),
            (
                "changes",
                format!(
                    "{} wait for their account, {} expired, {} unrecognized",
                    number(counts.pending),
                    number(counts.expired),
                    number(counts.unrecognized)
                ),
            ),
            (
                "trouble",
                format!(
                    "{} parked keys; {} outputs not told yet",
                    number(counts.parked_keys),
                    number(counts.outbox)
                ),
            ),
        ])?;
        out.line("")?;
        show_lags(out, &self.lags)
    }

    /// All well, or what is not.
    fn health(&self) -> String {
        let state = |check: &Value| check["state"].as_str().unwrap_or("unknown").to_owned();
        let worse: Vec<String> = self
            .checks
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, check)| check["state"] != "ready")
            .map(|(name, check)| match check["reason"].as_str() {
                Some(reason) => format!("{name} is {}: {reason}", state(check)),
                None => format!("{name} is {}", state(check)),
            })
            .collect();
        match (worse.is_empty(), self.serves) {
            (true, true) => "everything".to_owned(),
            (true, false) => "nothing serves".to_owned(),
            (false, _) => worse.join("; "),
        }
    }

    fn topics(&self) -> String {
        let topics: Vec<String> = self
            .log_bytes
            .iter()
            .map(|(topic, bytes)| format!("{topic} {}", show::bytes(*bytes)))
            .collect();
        topics.join(", ")
    }

    fn outcomes(&self) -> String {
        let outcomes: Vec<String> = self
            .webhooks
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|((source, outcome), count)| format!("{source} {outcome} {}", show::count(*count)))
            .collect();
        match outcomes.is_empty() {
            true => "none since the start".to_owned(),
            false => outcomes.join(", "),
        }
    }
}
