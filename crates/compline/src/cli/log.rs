//! How the tools find the log, and `compline log`.

mod copy;
mod end;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use compline_eventlog::{Log, LogConfig};

use crate::{client::Target, config::Settings, output::Output};

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

    pub(super) fn config(&self, target: &Target) -> Result<LogConfig> {
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

/// What is done with a whole log.
#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Copy a log to another one: growing up to a cluster, and back
    Copy(copy::Copy),
}

impl LogCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        match self {
            LogCommand::Copy(copy) => copy.run(target, out).await,
        }
    }
}
