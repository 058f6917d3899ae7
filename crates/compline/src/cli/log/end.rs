//! One end of a copy: brokers that run, a street that runs, or a folder in which
//! none does and whose log is opened here.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};
use compline_broker::{Broker, BrokerConfig, RunningBroker};
use compline_eventlog::{Log, LogConfig};

use crate::{
    role::reach,
    street::{Found, Lock, Street},
};

/// As it was named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EndName {
    Folder(PathBuf),
    Brokers(String),
}

impl FromStr for EndName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        if text.contains('/') || path.is_dir() {
            return Ok(EndName::Folder(path));
        }
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(EndName::Brokers(text.to_owned())),
            _ => Err(
                "neither brokers (host:port) nor a folder that is there (a new one has a / \
                      in its name, as ./new)"
                    .to_owned(),
            ),
        }
    }
}

/// An end that answers.
#[derive(Debug)]
pub(super) struct End {
    pub(super) config: LogConfig,
    /// For people.
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Brokers {
        nodes: usize,
    },
    /// A street that runs; others write to it.
    Running,
    /// Nobody but us has it.
    Opened(Opened),
}

/// A log that was opened for the copy.
#[derive(Debug)]
pub(super) struct Opened {
    broker: RunningBroker,
    /// There when it is the log of a data folder.
    _lock: Option<Lock>,
}

impl End {
    /// The log to copy from.
    pub(super) async fn source(name: &EndName, cluster: &LogConfig) -> Result<Self> {
        match name {
            EndName::Brokers(brokers) => Self::brokers(brokers, cluster).await,
            EndName::Folder(folder) => {
                let street = Street::at(folder);
                let holds_log = [folder.clone(), street.log_folder()]
                    .iter()
                    .any(|folder| is_log(folder));
                if !holds_log {
                    bail!("{} holds no log to copy", folder.display());
                }
                Self::folder(folder, &street, cluster).await
            }
        }
    }

    /// The log to copy to, which may be new.
    pub(super) async fn target(name: &EndName, cluster: &LogConfig) -> Result<Self> {
        match name {
            EndName::Brokers(brokers) => Self::brokers(brokers, cluster).await,
            EndName::Folder(folder) => {
                let street = Street::at(folder);
                if !is_log(folder) {
                    street.make_folder()?;
                }
                Self::folder(folder, &street, cluster).await
            }
        }
    }

    async fn brokers(brokers: &str, cluster: &LogConfig) -> Result<Self> {
        let mut config = cluster.clone();
        brokers.clone_into(&mut config.bootstrap);
        reach::answers(&config).await?;
        let cluster = Log::new(config.clone())?.cluster().await;
        let nodes = cluster
            .with_context(|| format!("what listens at {brokers} does not answer as Kafka does"))?
            .nodes;
        Ok(Self {
            config,
            name: brokers.to_owned(),
            kind: Kind::Brokers { nodes },
        })
    }

    async fn folder(folder: &Path, street: &Street, cluster: &LogConfig) -> Result<Self> {
        // A log alone, as the broker's role keeps it.
        let (lock, log) = match is_log(folder) {
            true => (None, folder.to_path_buf()),
            false => match street.find()? {
                Found::Running(running) => {
                    let mut config = LogConfig::new(&running.addresses.kafka);
                    config.prefix = running.topic_prefix;
                    return Ok(Self {
                        name: format!("the street that runs in {}", folder.display()),
                        config,
                        kind: Kind::Running,
                    });
                }
                _ => (Some(street.lock()?), street.log_folder()),
            },
        };
        let mut settings = BrokerConfig::new(&log);
        settings.bind.set_port(0);
        let broker = Broker::open(settings)
            .await
            .with_context(|| format!("the log in {}", log.display()))?
            .start();
        let mut config = LogConfig::new(broker.bootstrap());
        config.prefix.clone_from(&cluster.prefix);
        Ok(Self {
            config,
            name: format!("the log in {}", log.display()),
            kind: Kind::Opened(Opened {
                broker,
                _lock: lock,
            }),
        })
    }

    /// Leaves a folder as after a stop in order.
    pub(super) async fn close(self) -> Result<()> {
        match self.kind {
            Kind::Opened(opened) => {
                let closed = opened.broker.stop().await;
                closed.with_context(|| format!("closing {}", self.name))
            }
            Kind::Brokers { .. } | Kind::Running => Ok(()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether the folder is the embedded log's own.
fn is_log(folder: &Path) -> bool {
    folder.join("format").is_file()
}

#[cfg(test)]
mod tests {
    use super::EndName;

    #[test]
    fn brokers_and_folders_are_told_apart() {
        for (text, is_folder) in [
            ("127.0.0.1:9092", Some(false)),
            ("one:9092,two:9093", Some(false)),
            ("./new", Some(true)),
            ("/var/lib/log", Some(true)),
            ("src", Some(true)),
            ("nowhere", None),
        ] {
            let found = text.parse::<EndName>().ok();
            let found = found.map(|end| matches!(end, EndName::Folder(_)));
            assert_eq!(found, is_folder, "{text}");
        }
    }
}
