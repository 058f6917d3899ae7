//! The log that a street stands on: its own, or a Kafka cluster's; and whether it is
//! the one that the folder's tables were folded from.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, LogError};

use crate::{
    config::Settings,
    inspect::Inspector,
    process::Process,
    role::{Rooms, broker, reach},
    street::{LogPlace, Street},
};

/// Which log `up` is to stand on.
#[derive(Debug, Clone, Default)]
pub enum Stand {
    /// It brings its own.
    #[default]
    Embedded,
    Kafka {
        /// As `bootstrap.servers`.
        bootstrap: String,
        /// Of topics that are made; see [`reach::copies`].
        replication: Option<u16>,
    },
}

impl Stand {
    /// Starts the log or looks whether it answers, and puts into `settings` how it is
    /// reached.
    pub(super) async fn take(
        self,
        settings: &mut Settings,
        street: &Street,
        process: &Process,
    ) -> Result<LogPlace> {
        match self {
            Stand::Embedded => {
                let log = broker::start(&settings.broker, street.log_folder(), process).await?;
                settings.log.bootstrap = log.bootstrap;
                Ok(LogPlace::Embedded)
            }
            Stand::Kafka {
                bootstrap,
                replication,
            } => {
                settings.log.bootstrap.clone_from(&bootstrap);
                settings.log.check().context("--kafka")?;
                reach::answers(&settings.log).await.context("--kafka")?;
                let cluster = Log::new(settings.log.clone())?.cluster().await;
                let cluster = cluster.with_context(|| {
                    format!("what listens at {bootstrap} does not answer as Kafka does")
                })?;
                let configured = settings.log.replication;
                settings.log.replication = reach::copies(replication, cluster.nodes, configured);
                Ok(LogPlace::Kafka {
                    bootstrap,
                    cluster_id: cluster.id,
                    prefix: settings.log.prefix.clone(),
                })
            }
        }
    }
}

/// Refuses a log that lacks what the folder's tables were folded from; remembers one
/// that has it.
///
/// | the folder's tables | the log at hand | |
/// |---|---|---|
/// | are not there yet | any | taken |
/// | were folded from it | the same | taken |
/// | were folded from another | reaches up to every checkpoint | a copy: taken |
/// | were folded from another | ends before one | refused |
///
/// A log that is long enough and holds other events is found by the loops, which look
/// at the record before each checkpoint.
pub(super) async fn settle(rooms: &Rooms, street: &Street, here: &LogPlace) -> Result<()> {
    let known = street.log_place()?;
    if !known.is_same_log(here)
        && let Some((topic, partition, next, end)) = first_missing(rooms).await?
    {
        let (from, to) = (
            known.end_of_copy(street.folder()),
            here.end_of_copy(street.folder()),
        );
        bail!(
            "the data folder {} was made on {known}, and its tables hold {topic}/{partition} up to \
             offset {next}; {here} ends at {end}. Copy the log first (`compline log copy --from \
             {from} --to {to}`), start on that one, or begin with a new data folder (--data)",
            street.folder().display()
        );
    }
    street.remember_log_place(here)
}

/// A place up to which the tables were folded, and which the log does not reach.
async fn first_missing(rooms: &Rooms) -> Result<Option<(Topic, Partition, Offset, Offset)>> {
    let mut inspector = Inspector::connect(&rooms.database).await?;
    if !inspector.has_tables().await? {
        return Ok(None);
    }
    let mut folded: BTreeMap<(Topic, Partition), Offset> = BTreeMap::new();
    for checkpoint in inspector.checkpoints().await? {
        let place = (checkpoint.topic, checkpoint.partition);
        let furthest = folded.entry(place).or_insert(checkpoint.next_offset);
        *furthest = checkpoint.next_offset.max(*furthest);
    }
    for ((topic, partition), next) in folded {
        let end = end(&rooms.log, topic, partition).await?;
        if end < next {
            return Ok(Some((topic, partition, next, end)));
        }
    }
    Ok(None)
}

async fn end(log: &Log, topic: Topic, partition: Partition) -> Result<Offset> {
    match log.partition_count(topic).await {
        Err(LogError::TopicMissing { .. }) => Ok(Offset(0)),
        _ => Ok(log.bounds(topic, partition).await?.end),
    }
}
