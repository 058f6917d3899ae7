//! What the tests share: a broker in a throw-away folder, and rdkafka pointed at it.

use std::path::Path;
use std::time::{Duration, Instant};

use compline_broker::{Broker, BrokerConfig, RunningBroker};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

pub(crate) const WAIT: Duration = Duration::from_secs(20);

pub(crate) struct Street {
    pub(crate) broker: RunningBroker,
    pub(crate) folder: TempDir,
}

pub(crate) fn config(folder: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::new(folder.join("log"));
    config.bind.set_port(0);
    config
}

pub(crate) async fn start() -> Street {
    start_with(|_| {}).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut BrokerConfig)) -> Street {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    change(&mut config);
    Street {
        broker: Broker::open(config).await.unwrap().start(),
        folder,
    }
}

impl Street {
    pub(crate) fn client(&self) -> ClientConfig {
        client(&self.broker.bootstrap())
    }

    pub(crate) async fn topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        create(&self.broker.bootstrap(), name, partitions, settings)
            .await
            .unwrap();
    }

    pub(crate) fn producer(&self) -> FutureProducer {
        self.client()
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .create()
            .unwrap()
    }

    /// Everything in a topic, read in a thread of its own.
    pub(crate) async fn read_all(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let (client, topic) = (self.client(), topic.to_owned());
        tokio::task::spawn_blocking(move || read_all(client, &topic, count))
            .await
            .unwrap()
    }
}

pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4");
    client
}

pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap).create().unwrap()
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(WAIT))
        .operation_timeout(Some(WAIT))
}

pub(crate) async fn create(
    bootstrap: &str,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<(), RDKafkaErrorCode> {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = settings
        .iter()
        .fold(topic, |topic, (key, value)| topic.set(key, value));
    let results = admin(bootstrap)
        .create_topics([&topic], &options())
        .await
        .unwrap();
    results
        .into_iter()
        .next()
        .unwrap()
        .map(|_| ())
        .map_err(|(_, error)| error)
}

pub(crate) async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    key: &str,
    value: &str,
) -> (i32, i64) {
    let record = FutureRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(value);
    let delivery = producer.send(record, WAIT).await.unwrap();
    (delivery.partition, delivery.offset)
}

pub(crate) fn consumer(client: &mut ClientConfig, group: &str) -> BaseConsumer {
    client
        .set("group.id", group)
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// Reads `count` records of all partitions from their beginnings.
pub(crate) fn read_all(mut client: ClientConfig, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer = consumer(&mut client, "reader");
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    drain(&consumer, count)
}

/// The next `count` records, or a panic that says how many came.
pub(crate) fn drain(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let until = Instant::now() + WAIT;
    let mut read = Vec::with_capacity(count);
    while read.len() < count {
        assert!(
            Instant::now() < until,
            "{} of {count} records came",
            read.len()
        );
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => read.push(message.detach()),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure)))
            | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    read
}
