//! The handle from which appenders, readers and replays are made, and the
//! questions that need neither.

use std::{fmt, sync::Arc, time::Duration};

use compline_event::{Offset, Partition, RecordId, Topic};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::{
    Appender, AppenderConfig, ConsumerConfig, GroupConsumer, LogConfig, LogError, Mend, Record,
    Replay, Survey, TopicReport, TopicSpec, admin,
    client::{Client, Names},
    fetch::Fetcher,
};

/// How long a single record may take to come.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The log. Clones are handles on the same client.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    config: LogConfig,
    names: Names,
    fetcher: Arc<Fetcher>,
    /// Held while a single record is read.
    single: Mutex<()>,
}

/// What a partition holds: records from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub start: Offset,
    pub end: Offset,
}

/// The brokers behind the bootstrap addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Kafka's own name of it; absent where it says none.
    pub id: Option<String>,
    /// How many brokers run.
    pub nodes: usize,
}

impl Log {
    /// Checks the settings; connects when first used.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(config: LogConfig) -> Result<Self, LogError> {
        config.check()?;
        let names = Names::new(&config);
        let mut settings = config.reader(&format!("{}questions", config.prefix));
        settings
            // One record at a time: a fetch that waits at the end of one
            // partition holds up the next.
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "1")
            .set("max.partition.fetch.bytes", "65536")
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "1024");
        let client = Client::new(names.clone(), &settings)?;
        Ok(Self(Arc::new(Inner {
            config,
            names,
            fetcher: Fetcher::new(client),
            single: Mutex::default(),
        })))
    }

    /// The topic's name with the installation's prefix.
    pub fn topic_name(&self, topic: Topic) -> String {
        self.0.names.of(topic).to_owned()
    }

    /// The group's name with the installation's prefix.
    pub fn group_name(&self, group: &str) -> String {
        format!("{}{group}", self.0.config.prefix)
    }

    /// Makes the topics that are missing and checks those that are there.
    ///
    /// # Errors
    /// [`LogError::PartitionCount`], [`LogError::TopicSetting`],
    /// [`LogError::BrokerSetting`] or several of them: every promise that would not hold.
    pub async fn ensure_topics(&self) -> Result<Vec<TopicReport>, LogError> {
        let survey = self.survey_topics(Mend::Missing).await?;
        survey.check()?;
        Ok(survey.topics)
    }

    /// Looks at every topic and at the brokers, and does what `mend` allows. Broken
    /// promises are told in the survey, and missing topics that may not be made.
    ///
    /// # Errors
    /// [`LogError::TooFewBrokers`] when missing topics cannot be made.
    pub async fn survey_topics(&self, mend: Mend) -> Result<Survey, LogError> {
        admin::survey(self.config(), self.client(), mend).await
    }

    /// Whom the bootstrap addresses lead to.
    pub async fn cluster(&self) -> Result<Cluster, LogError> {
        self.client().cluster().await
    }

    /// # Errors
    /// [`LogError::PartitionCount`] when it is not what `schemas/topics.toml` says.
    pub async fn partition_count(&self, topic: Topic) -> Result<u32, LogError> {
        let name = self.0.names.of(topic);
        let metadata = self.client().metadata(Some(topic)).await?;
        let missing = || LogError::TopicMissing {
            name: name.to_owned(),
        };
        let found = admin::find(&metadata, name).ok_or_else(missing)?;
        admin::check_count(name, topic, found.partitions().len())
    }

    /// The partitions that the topic has by `schemas/topics.toml`.
    pub fn partitions(topic: Topic) -> impl Iterator<Item = Partition> {
        let count = i32::try_from(TopicSpec::of(topic).partitions).expect("at most 10,000");
        (0..count).map(Partition)
    }

    pub async fn bounds(&self, topic: Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.client().bounds(topic, partition).await
    }

    /// The ends of many partitions, asked for at once: what lag is measured by.
    pub async fn ends(
        &self,
        partitions: &[(Topic, Partition)],
    ) -> Result<Vec<(Topic, Partition, Offset)>, LogError> {
        self.client().ends(partitions).await
    }

    /// Where the first record stands whose time is `at` or later; `None` when
    /// there is none yet.
    pub async fn offset_at_time(
        &self,
        topic: Topic,
        partition: Partition,
        at: OffsetDateTime,
    ) -> Result<Option<Offset>, LogError> {
        self.client().offset_at_time(topic, partition, at).await
    }

    /// One record; `None` when nothing stands there.
    pub async fn read_at(&self, at: RecordId) -> Result<Option<Record>, LogError> {
        let bounds = self.bounds(at.topic, at.partition).await?;
        if at.offset < bounds.start || at.offset >= bounds.end {
            return Ok(None);
        }
        let _one_by_one = self.0.single.lock().await;
        let mut reader = self.0.fetcher.open(at.topic, at.partition, at.offset)?;
        let read = tokio::time::timeout(READ_TIMEOUT, reader.next_batch(1, 1)).await;
        match read {
            Ok(Ok(mut records)) => Ok(records.pop().filter(|record| record.at == at)),
            Ok(Err(error)) => Err(LogError::Read { at, source: error }),
            Err(_) => Err(LogError::ReadTimeout { at }),
        }
    }

    pub fn appender(&self, config: AppenderConfig) -> Result<Appender, LogError> {
        Appender::new(self.config(), self.0.names.clone(), config)
    }

    /// Joins `group` (its name gets the installation's prefix) as one of those who
    /// share `topics` among them.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn consumer(
        &self,
        group: &str,
        topics: &[Topic],
        config: ConsumerConfig,
    ) -> Result<GroupConsumer, LogError> {
        let names = self.0.names.clone();
        GroupConsumer::join(
            self.config(),
            names,
            &self.group_name(group),
            topics,
            config,
        )
    }

    /// The records of one partition from `from` up to, not including, `to`, as
    /// fast as they can be had.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn replay(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        to: Offset,
    ) -> Result<Replay, LogError> {
        let names = self.0.names.clone();
        Replay::new(self.config(), names, topic, partition, from, to)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn config(&self) -> &LogConfig {
        &self.0.config
    }

    fn client(&self) -> &Client {
        self.0.fetcher.client()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.0.config).finish()
    }
}
