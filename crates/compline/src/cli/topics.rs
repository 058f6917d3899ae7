//! `compline topics`: what the log holds, and whether its topics keep the promises.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use compline_event::Topic;
use compline_eventlog::{
    Difference, Finding, Log, LogConfig, Mend, Retention, Survey, TopicReport, TopicSpec,
};
use serde_json::{Value, json};

use super::log::LogTarget;
use crate::{client::Target, output::Output, role::reach, show};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Topics {
    #[command(subcommand)]
    command: Option<TopicsCommand>,
    #[command(flatten)]
    log: LogTarget,
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// List the topics and how much they hold
    List {
        #[command(flatten)]
        log: LogTarget,
    },
    /// Make the topics that are missing, and check those that are there: 1 when a
    /// promise would not hold on them
    Ensure(Ensure),
}

impl Topics {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self.command {
            None => list(&self.log.open(target)?, out).await,
            Some(TopicsCommand::List { log }) => list(&log.open(target)?, out).await,
            Some(TopicsCommand::Ensure(ensure)) => ensure.run(target, out).await,
        }
    }
}

async fn list(log: &Log, out: &mut Output) -> Result<()> {
    let mut rows = Vec::new();
    for topic in Topic::ALL {
        let spec = TopicSpec::of(topic);
        let mut records = 0;
        for partition in Log::partitions(topic) {
            let bounds = log.bounds(topic, partition).await?;
            records += u64::try_from(bounds.end.0 - bounds.start.0).unwrap_or(0);
        }
        let kept = match spec.retention {
            Retention::Kept => "for ever".to_owned(),
            Retention::AtLeast(time) => show::age(time.as_secs_f64()),
        };
        if out.is_json() {
            out.json(&json!({
                "topic": topic.as_str(),
                "name": log.topic_name(topic),
                "partitions": spec.partitions,
                "records": records,
                "kept": kept,
                "maxRecordBytes": spec.max_record_bytes,
            }))?;
            continue;
        }
        rows.push(vec![
            topic.to_string(),
            log.topic_name(topic),
            spec.partitions.to_string(),
            show::count(records),
            kept,
            show::bytes(spec.max_record_bytes as u64),
        ]);
    }
    if !out.is_json() {
        let columns = ["topic", "name", "partitions", "records", "kept", "largest"];
        out.table(&columns, rows)?;
    }
    Ok(())
}

#[derive(Debug, Args)]
struct Ensure {
    #[command(flatten)]
    log: LogTarget,
    /// Replicas of the topics that are made [default: 3 where the cluster has so many
    /// nodes, else log.replication]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10))]
    replication: Option<u16>,
    /// Put before every topic's name [default: with --config its log.prefix, else none]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Set the settings of topics that differ, too
    #[arg(long)]
    fix: bool,
    /// Make and change nothing; topics that are missing are told, and are an error
    #[arg(long, conflicts_with = "fix")]
    check: bool,
}

impl Ensure {
    async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let mut config = self.log.config(target)?;
        if let Some(prefix) = self.prefix {
            config.prefix = prefix;
        }
        let mend = match (self.fix, self.check) {
            (true, _) => Mend::Settings,
            (_, true) => Mend::Nothing,
            _ => Mend::Missing,
        };
        reach::brokers(&config).await?;
        let nodes = Log::new(config.clone())?.cluster().await?.nodes;
        if let Some(copies) = self
            .replication
            .filter(|copies| usize::from(*copies) > nodes)
        {
            bail!(
                "--replication {copies}: each copy needs a node of its own, and {} has {nodes}",
                config.bootstrap
            );
        }
        config.replication = reach::copies(self.replication, nodes, config.replication);
        let survey = Log::new(config.clone())?.survey_topics(mend).await?;
        match out.is_json() {
            true => tell_machines(&survey, out)?,
            false => tell_people(&survey, &config, out)?,
        }
        out.flush()?;
        let broken: usize = survey.topics.iter().map(|t| t.broken().count()).sum();
        let broken = broken + survey.cluster.iter().filter(|f| f.breaks).count();
        let mut wrong = Vec::new();
        if broken > 0 {
            wrong.push(format!("{broken} of these settings break a promise"));
        }
        if !survey.missing.is_empty() {
            let missing = survey.missing.len();
            wrong.push(format!(
                "{missing} topics are missing (without --check they are made)"
            ));
        }
        if !wrong.is_empty() {
            let (wrong, at) = (wrong.join(" and "), &config.bootstrap);
            bail!("{wrong}; nothing should be started on {at} as it is");
        }
        Ok(())
    }
}

fn state(report: &TopicReport) -> &'static str {
    let mended = report.differences.iter().any(|d| d.mended);
    match (report.broken().next(), report.made) {
        (Some(_), _) => "breaks a promise",
        (None, true) => "made",
        (None, false) if report.differences.is_empty() => "right",
        (None, false) if mended => "mended",
        (None, false) => "differs",
    }
}

fn tell_people(survey: &Survey, config: &LogConfig, out: &mut Output) -> Result<()> {
    for report in &survey.topics {
        out.line(format!(
            "topic {} ({} partitions, {} replicas): {}",
            report.name,
            report.partitions,
            report.replication,
            state(report)
        ))?;
        for difference in &report.differences {
            let Difference {
                setting,
                found,
                needed,
                ..
            } = difference;
            let must = if difference.breaks {
                "must be"
            } else {
                "is made with"
            };
            let advice = advice(difference, report, config);
            out.line(format!(
                "    {setting} is {found} and {must} {needed}: {advice}"
            ))?;
        }
    }
    for name in &survey.missing {
        out.line(format!("topic {name}: is not there"))?;
    }
    for finding in &survey.cluster {
        let Finding {
            setting,
            found,
            needed,
            reason,
            breaks,
        } = finding;
        let must = if *breaks { "must" } else { "should" };
        out.line(format!(
            "brokers: {setting} is {found} and {must} be {needed}: {reason}"
        ))?;
    }
    Ok(())
}

/// How one mends it.
fn advice(difference: &Difference, report: &TopicReport, config: &LogConfig) -> String {
    let (at, name) = (&config.bootstrap, &report.name);
    match (difference.setting, &difference.mend) {
        (_, Some(value)) if difference.mended => format!("set to {value}"),
        (setting, Some(value)) => format!(
            "--fix sets it, or kafka-configs --bootstrap-server {at} --alter --topic {name} \
             --add-config {setting}={value}"
        ),
        ("partitions", None) => "a key would change places, so this cannot be mended in place: \
             delete the topic if it is empty, or take another log.prefix"
            .to_owned(),
        (_, None) => format!(
            "kafka-reassign-partitions --bootstrap-server {at} gives the partitions of {name} \
             more replicas"
        ),
    }
}

fn tell_machines(survey: &Survey, out: &mut Output) -> Result<()> {
    for report in &survey.topics {
        let differences: Vec<Value> = (report.differences.iter())
            .map(|difference| {
                json!({
                    "setting": difference.setting,
                    "found": difference.found,
                    "needed": difference.needed,
                    "breaks": difference.breaks,
                    "mended": difference.mended,
                })
            })
            .collect();
        out.json(&json!({
            "topic": report.topic.as_str(),
            "name": report.name,
            "partitions": report.partitions,
            "replication": report.replication,
            "made": report.made,
            "state": state(report),
            "differences": differences,
        }))?;
    }
    for name in &survey.missing {
        out.json(&json!({ "name": name, "state": "is not there" }))?;
    }
    for finding in &survey.cluster {
        out.json(&json!({
            "brokers": survey.brokers,
            "setting": finding.setting,
            "found": finding.found,
            "needed": finding.needed,
            "reason": finding.reason,
            "breaks": finding.breaks,
        }))?;
    }
    Ok(())
}
