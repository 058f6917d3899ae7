//! `compline topics`, and how the tools find the log.

use anyhow::{Context as _, Result};
use clap::Args;
use compline_event::Topic;
use compline_eventlog::{Log, LogConfig, Retention, TopicSpec};
use serde_json::json;

use crate::{client::Target, config::Settings, output::Output, show};

/// Which log.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LogTarget {
    /// The log's brokers, host:port, comma-separated
    /// [default: with --config its [log], else the data folder's street]
    #[arg(long, value_name = "BROKERS")]
    pub(super) kafka: Option<String>,
}

impl LogTarget {
    pub(super) fn open(&self, target: &Target) -> Result<Log> {
        Log::new(self.config(target)?).context("the log")
    }

    fn config(&self, target: &Target) -> Result<LogConfig> {
        if target.config.is_some() {
            let mut config = Settings::load(target.config.as_deref())?.log;
            if let Some(kafka) = &self.kafka {
                config.bootstrap.clone_from(kafka);
            }
            return Ok(config);
        }
        if let Some(kafka) = &self.kafka {
            return Ok(LogConfig::new(kafka));
        }
        let street = target.street().running()?;
        let mut config = LogConfig::new(street.addresses.kafka);
        config.prefix = street.topic_prefix;
        Ok(config)
    }
}

#[derive(Debug, Args)]
pub(super) struct Topics {
    #[command(flatten)]
    log: LogTarget,
}

impl Topics {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let log = self.log.open(target)?;
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
}
