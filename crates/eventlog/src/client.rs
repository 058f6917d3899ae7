//! One librdkafka consumer that never joins a group, and the questions it can
//! answer about the log.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use compline_event::{Offset, Partition, Topic};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
    metadata::Metadata,
    types::RDKafkaErrorCode as Code,
};
use time::OffsetDateTime;
use tokio::{sync::oneshot, time::Instant};

use crate::{Bounds, Cluster, LogConfig, LogError, consumer::Consumer, context::Connections};

/// How long the log may take to answer a question.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The topics' names with the installation's prefix.
#[derive(Clone)]
pub(crate) struct Names(Arc<[String; Topic::ALL.len()]>);

impl Names {
    pub(crate) fn new(config: &LogConfig) -> Self {
        Self(Arc::new(
            Topic::ALL.map(|topic| format!("{}{topic}", config.prefix)),
        ))
    }

    pub(crate) fn of(&self, topic: Topic) -> &str {
        &self.0[topic as usize]
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.of(*topic) == name)
    }
}

pub(crate) struct Client {
    pub(crate) names: Names,
    consumer: Consumer<Connections>,
    /// Held while librdkafka is listened to.
    hearing: Arc<Mutex<()>>,
    /// Dropped, it ends the driver.
    _driver: oneshot::Sender<()>,
}

impl Client {
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn new(names: Names, config: &ClientConfig) -> Result<Self, LogError> {
        let (consumer, _) = Consumer::new(config, Connections::default())
            .map_err(|error| LogError::of("making a reader", error))?;
        let (driver, stop) = oneshot::channel();
        let hearing = Arc::default();
        tokio::spawn(drive(consumer.clone(), Arc::clone(&hearing), stop));
        Ok(Self {
            names,
            consumer,
            hearing,
            _driver: driver,
        })
    }

    pub(crate) fn consumer(&self) -> &Arc<StreamConsumer<Connections>> {
        &self.consumer
    }

    /// How many connections have been lost, as far as the client counts them (see
    /// [`Connections`]). librdkafka says so before it reads over the next one: so
    /// whoever asks behind a record knows of every loss before it.
    pub(crate) fn connections_lost(&self) -> u64 {
        let heard = Arc::new(Heard::default());
        let waker = Waker::from(Arc::clone(&heard));
        let mut context = Context::from_waker(&waker);
        let alone = self.hearing.lock().expect("nobody panics while holding it");
        loop {
            let next = pin!(self.consumer.recv());
            match next.poll(&mut context) {
                Poll::Ready(said) => hear(said),
                Poll::Pending if heard.0.swap(false, Ordering::AcqRel) => {}
                Poll::Pending => break,
            }
        }
        drop(alone);
        self.consumer.context().lost()
    }

    /// Of one topic, or of all.
    pub(crate) async fn metadata(&self, topic: Option<Topic>) -> Result<Metadata, LogError> {
        let name = topic.map(|topic| self.names.of(topic).to_owned());
        self.ask("reading the topics", move |consumer| {
            consumer.fetch_metadata(name.as_deref(), TIMEOUT)
        })
        .await
    }

    pub(crate) async fn cluster(&self) -> Result<Cluster, LogError> {
        self.ask("asking who the brokers are", |consumer| {
            let nodes = consumer.fetch_metadata(None, TIMEOUT)?.brokers().len();
            let id = consumer.client().fetch_cluster_id(TIMEOUT);
            Ok(Cluster { id, nodes })
        })
        .await
    }

    pub(crate) async fn bounds(
        &self,
        topic: Topic,
        partition: Partition,
    ) -> Result<Bounds, LogError> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let name = self.names.of(topic).to_owned();
            let asked = self
                .ask("reading a partition's bounds", move |consumer| {
                    consumer.fetch_watermarks(&name, partition.0, TIMEOUT)
                })
                .await;
            match asked {
                Ok((start, end)) => {
                    return Ok(Bounds {
                        start: Offset(start),
                        end: Offset(end),
                    });
                }
                Err(error) if self.may_have_moved(&error, deadline).await => {}
                Err(error) => return Err(no_partition(error, topic, partition)),
            }
        }
    }

    /// Whether to ask again: a partition that has no leader which answers gets one. Its
    /// topic was just made, or a node just died.
    async fn may_have_moved(&self, error: &LogError, deadline: Instant) -> bool {
        if !has_no_leader(error) || Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        // librdkafka would ask the dead one again until its metadata are old.
        self.metadata(None).await.is_ok()
    }

    /// The ends of many partitions with one question per broker.
    pub(crate) async fn ends(
        &self,
        partitions: &[(Topic, Partition)],
    ) -> Result<Vec<(Topic, Partition, Offset)>, LogError> {
        if partitions.is_empty() {
            // librdkafka would refuse the question.
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            // As a time, Kafka's name for the end.
            let end = rdkafka::Offset::End;
            list.add_partition_offset(self.names.of(*topic), partition.0, end)
                .map_err(|error| LogError::of("reading the partitions' ends", error))?;
        }
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.ends_now(list.clone(), partitions).await {
                Err(error) if self.may_have_moved(&error, deadline).await => {}
                answered => return answered,
            }
        }
    }

    async fn ends_now(
        &self,
        list: TopicPartitionList,
        partitions: &[(Topic, Partition)],
    ) -> Result<Vec<(Topic, Partition, Offset)>, LogError> {
        let doing = "reading the partitions' ends";
        let answer = self
            .ask(doing, move |consumer| {
                consumer.offsets_for_times(list, TIMEOUT)
            })
            .await?;
        let end_of = |&(topic, partition): &(Topic, Partition)| {
            let found = answer.find_partition(self.names.of(topic), partition.0);
            let found = found.ok_or(LogError::NoPartition { topic, partition })?;
            found
                .error()
                .map_err(|error| no_partition(LogError::of(doing, error), topic, partition))?;
            match found.offset() {
                rdkafka::Offset::Offset(end) => Ok((topic, partition, Offset(end))),
                // Its leader gave no answer, and others did.
                _ => {
                    let silent = KafkaError::OffsetFetch(Code::LeaderNotAvailable);
                    Err(LogError::of(doing, silent))
                }
            }
        };
        partitions.iter().map(end_of).collect()
    }

    /// Where the first record at or after `at` stands, if there is one.
    pub(crate) async fn offset_at_time(
        &self,
        topic: Topic,
        partition: Partition,
        at: OffsetDateTime,
    ) -> Result<Option<Offset>, LogError> {
        let doing = "looking up a time";
        let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
        let ms = i64::try_from(ms.max(0)).expect("years up to 9999 fit");
        let name = self.names.of(topic).to_owned();
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&name, partition.0, rdkafka::Offset::Offset(ms))
            .map_err(|error| LogError::of(doing, error))?;
        let answer = self
            .ask(doing, move |consumer| {
                consumer.offsets_for_times(list, TIMEOUT)
            })
            .await
            .map_err(|error| no_partition(error, topic, partition))?;
        let found = answer
            .find_partition(&name, partition.0)
            .ok_or(LogError::NoPartition { topic, partition })?;
        found
            .error()
            .map_err(|error| no_partition(LogError::of(doing, error), topic, partition))?;
        Ok(match found.offset() {
            rdkafka::Offset::Offset(offset) => Some(Offset(offset)),
            _ => None,
        })
    }

    /// librdkafka's questions block.
    async fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        question: impl FnOnce(&StreamConsumer<Connections>) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let consumer = self.consumer.clone();
        tokio::task::spawn_blocking(move || question(&consumer))
            .await
            .unwrap_or(Err(KafkaError::Canceled))
            .map_err(|error| LogError::of(doing, error))
    }
}

fn has_no_leader(error: &LogError) -> bool {
    let LogError::Unavailable { source, .. } = error else {
        return false;
    };
    matches!(
        source.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::OffsetNotAvailable
                | Code::BrokerTransportFailure
        )
    )
}

fn no_partition(error: LogError, topic: Topic, partition: Partition) -> LogError {
    match error {
        LogError::Unavailable { source, .. }
            if matches!(
                source.rdkafka_error_code(),
                Some(Code::UnknownPartition | Code::UnknownTopicOrPartition | Code::UnknownTopic)
            ) =>
        {
            LogError::NoPartition { topic, partition }
        }
        error => error,
    }
}

/// Serves what librdkafka has to say beside the records, until the client is gone.
async fn drive(
    consumer: Consumer<Connections>,
    hearing: Arc<Mutex<()>>,
    stop: oneshot::Receiver<()>,
) {
    let listen = async {
        loop {
            let mut next = pin!(consumer.recv());
            let said = poll_fn(|context| {
                let _alone = hearing.lock().expect("nobody panics while holding it");
                next.as_mut().poll(context)
            });
            hear(said.await);
        }
    };
    tokio::select! {
        () = listen => {}
        _ = stop => {}
    }
}

fn hear(said: KafkaResult<BorrowedMessage<'_>>) {
    match said {
        Ok(_) => tracing::error!("a record came outside its partition's queue"),
        // librdkafka mends these itself; a reader that waits in vain shows in the lag.
        Err(error) => tracing::debug!(%error, "the log's client reports"),
    }
}

/// Woken by a poll that has taken something, so that there may be more.
#[derive(Default)]
struct Heard(AtomicBool);

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}
