//! What the checks share.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use uuid::Uuid;

use crate::Log;
use crate::raw::Connection;

pub(crate) const WAIT: Duration = Duration::from_secs(30);

impl Log {
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("broker.address.family", "v4");
        client
    }

    pub(crate) fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    pub(crate) fn producer(&self) -> anyhow::Result<FutureProducer> {
        Ok(self.client().set("enable.idempotence", "true").create()?)
    }

    /// Makes a topic of a name that nobody else has, replicated as the log does by default, and
    /// waits until every node knows of it.
    pub(crate) async fn topic(
        &self,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let name = name("topic");
        self.create(&name, partitions, settings)
            .await?
            .map_err(|code| anyhow::anyhow!("{code}"))?;
        self.known_everywhere(&name).await?;
        Ok(name)
    }

    async fn known_everywhere(&self, topic: &str) -> anyhow::Result<()> {
        let until = Instant::now() + WAIT;
        for address in self.addresses() {
            let mut node = Connection::open(address).await?;
            loop {
                let known = node.metadata(topic).await?;
                let found = &known.topics[0];
                let led = found.partitions.iter().all(|part| part.leader_id.0 >= 0);
                if found.error_code == 0 && led {
                    break;
                }
                ensure!(Instant::now() < until, "{address} does not know {topic}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn create(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Result<(), RDKafkaErrorCode>> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let topic = settings
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value));
        self.create_topic(topic).await
    }

    pub(crate) async fn create_copies(
        &self,
        name: &str,
        copies: i32,
    ) -> anyhow::Result<Result<(), RDKafkaErrorCode>> {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(copies));
        self.create_topic(topic).await
    }

    async fn create_topic(
        &self,
        topic: NewTopic<'_>,
    ) -> anyhow::Result<Result<(), RDKafkaErrorCode>> {
        let results = self.admin()?.create_topics([&topic], &options()).await?;
        let result = results
            .into_iter()
            .next()
            .context("an answer for the topic")?;
        Ok(result.map(|_| ()).map_err(|(_, code)| code))
    }

    /// Everything in a topic of a known number of records.
    pub(crate) async fn read(
        &self,
        topic: &str,
        count: usize,
    ) -> anyhow::Result<Vec<OwnedMessage>> {
        let (log, topic) = (self.clone(), topic.to_owned());
        blocking(move || {
            let consumer = log.reader()?;
            let metadata = consumer.fetch_metadata(Some(&topic), WAIT)?;
            let topic = metadata.topics().first().context("the topic")?;
            let starts: Vec<_> = topic
                .partitions()
                .iter()
                .map(|part| (part.id(), Offset::Beginning))
                .collect();
            assign(&consumer, topic.name(), &starts)?;
            drain(&consumer, count)
        })
        .await
    }

    /// A consumer outside of any group's balance.
    pub(crate) fn reader(&self) -> anyhow::Result<BaseConsumer> {
        let consumer = self
            .client()
            .set("group.id", name("reader"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .create()?;
        Ok(consumer)
    }
}

pub(crate) fn name(kind: &str) -> String {
    format!("conformance-{kind}-{}", Uuid::new_v4().simple())
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(WAIT))
        .operation_timeout(Some(WAIT))
}

/// rdkafka's consumers block, which is not to be done on the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

pub(crate) fn assign(
    consumer: &BaseConsumer,
    topic: &str,
    starts: &[(i32, Offset)],
) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in starts {
        list.add_partition_offset(topic, *partition, *offset)?;
    }
    Ok(consumer.assign(&list)?)
}

/// The next `count` records.
pub(crate) fn drain(consumer: &BaseConsumer, count: usize) -> anyhow::Result<Vec<OwnedMessage>> {
    let until = Instant::now() + WAIT;
    let mut read = Vec::with_capacity(count);
    while read.len() < count {
        ensure!(
            Instant::now() < until,
            "only {} of {count} records came",
            read.len()
        );
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => read.push(message.detach()),
            Some(Err(error)) => bail!(error),
            None => {}
        }
    }
    Ok(read)
}

/// Sends one record and waits; gives its offset.
pub(crate) async fn send(
    producer: &FutureProducer,
    record: FutureRecord<'_, str, str>,
) -> anyhow::Result<i64> {
    let delivery = producer
        .send(record, WAIT)
        .await
        .map_err(|(error, _)| error)?;
    Ok(delivery.offset)
}
