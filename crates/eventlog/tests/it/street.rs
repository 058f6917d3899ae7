//! A broker of a test's own, events to append, and the things that tests ask of
//! every log.

mod broker;

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, time::Duration};

use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, Source, Stamp, TenantId, Topic,
    ad_events::AdStatusChanged,
};
use compline_eventlog::{Appender, AppenderConfig, Log, LogConfig, Record};
use time::OffsetDateTime;
use uuid::Uuid;

use self::broker::Brokers;

/// A cluster's nodes that were killed elect leaders first.
fn patience() -> Duration {
    Duration::from_secs(match std::env::var_os("KAFKA_BOOTSTRAP") {
        Some(_) => 90,
        None => 30,
    })
}

pub(crate) struct Street {
    brokers: Brokers,
    prefix: String,
    pub(crate) log: Log,
}

impl Street {
    pub(crate) async fn open() -> Self {
        let street = Self::without_topics().await;
        street.log.ensure_topics().await.unwrap();
        street
    }

    pub(crate) async fn without_topics() -> Self {
        let brokers = Brokers::start().await;
        let mut config = LogConfig::new(brokers.bootstrap());
        config.replication = brokers.replication();
        config.prefix = match &brokers {
            Brokers::Embedded { .. } => "test.".to_owned(),
            // Others' tests have left theirs.
            Brokers::Kafka { .. } => format!("test-{}.", Uuid::new_v4().simple()),
        };
        Self {
            brokers,
            prefix: config.prefix.clone(),
            log: Log::new(config).unwrap(),
        }
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.brokers.bootstrap()
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.brokers, Brokers::Embedded { .. })
    }

    /// A topic's name on the broker.
    pub(crate) fn name(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// At once and without a goodbye, as a crash would.
    pub(crate) fn crash(&mut self) {
        self.brokers.crash();
    }

    pub(crate) async fn start_again(&mut self) {
        self.brokers.start_again().await;
    }

    /// What the broker has written so far. It must not be running.
    pub(crate) fn backup(&self) -> tempfile::TempDir {
        self.brokers.backup()
    }

    /// The broker has forgotten all that it wrote since.
    pub(crate) async fn start_from(&mut self, backup: tempfile::TempDir) {
        self.brokers.restore(backup);
        self.start_again().await;
    }

    /// A bit of the partition's file turns, in every copy; done twice it is sound again. Only one
    /// partition of the topic may hold anything.
    pub(crate) fn turn_a_bit(&self, topic: Topic, at: u64) {
        for path in self.brokers.segments(&self.name(topic)) {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
    }

    /// Bytes of the topic's one file.
    pub(crate) fn size_of(&self, topic: Topic) -> u64 {
        let path = &self.brokers.segments(&self.name(topic))[0];
        path.metadata().unwrap().len()
    }

    pub(crate) fn appender(&self) -> Appender {
        self.log.appender(AppenderConfig::default()).unwrap()
    }

    /// Appends `count` numbered events to one partition of the ad topic.
    pub(crate) async fn fill(&self, partition: Partition, numbers: Range<u64>) {
        fill(&self.appender(), partition, numbers).await;
    }
}

pub(crate) async fn fill(appender: &Appender, partition: Partition, numbers: Range<u64>) {
    let mut last = None;
    for number in numbers {
        let delivery = appender
            .enqueue(Topic::Ad, Some(partition), key(number), &event(number))
            .await
            .unwrap();
        last = Some(delivery);
    }
    last.unwrap().await.unwrap();
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new(Uuid::from_u128(7))
}

pub(crate) fn key(number: u64) -> Bytes {
    Bytes::from(format!("{}/ad-{}", tenant(), number % 10))
}

/// The `number`th event, number and all.
pub(crate) fn event(number: u64) -> Envelope {
    let at = OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap();
    Envelope {
        event_id: EventId::new(Uuid::from_u128(u128::from(number) + 1)),
        tenant: Some(tenant()),
        occurred_at: at,
        recorded_at: at + Duration::from_millis(number),
        source: Source::Engine("ad".to_owned()),
        actor: "engine:ad".to_owned(),
        causation_id: None,
        correlation_id: None,
        stamp: Some(Stamp {
            producer: "ad".to_owned(),
            number: number + 1,
        }),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        event: Event::AdStatusChanged(AdStatusChanged {
            ad_id: format!("ad-{}", number % 10),
            new_status: "DISAPPROVED".to_owned(),
            ..Default::default()
        }),
    }
}

/// Kafka forgets a producer by its records' times, at the latest when it starts: one of
/// records that are more than a day old is a new one then, and what it sends again is
/// written again.
pub(crate) fn event_of_today(number: u64) -> Envelope {
    Envelope {
        recorded_at: OffsetDateTime::now_utc(),
        ..event(number)
    }
}

pub(crate) fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.at.offset.0).collect()
}

pub(crate) fn numbers(records: &[Record]) -> Vec<u64> {
    records
        .iter()
        .map(|record| record.stamp().unwrap().number - 1)
        .collect()
}

/// Everything that stands in one partition of the ad topic.
pub(crate) async fn all(log: &Log, partition: Partition) -> Vec<Record> {
    let end = log.bounds(Topic::Ad, partition).await.unwrap().end;
    let mut replay = log.replay(Topic::Ad, partition, Offset(0), end).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = soon(replay.next_batch()).await.unwrap() {
        records.extend(batch);
    }
    records
}

/// Fails the test where a wait without an end would hide the reason.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience(), future)
        .await
        .expect("this should not take so long")
}
