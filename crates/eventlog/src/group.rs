//! Sharing the partitions of some topics among the members of a group.
//!
//! Two clients stand behind one consumer, because librdkafka takes any change of
//! a member's assignment for its answer to a rebalance that happens to be going
//! on. One client is the member: it is assigned nothing, so it reads nothing, and
//! only hands on what the group decides. The other reads, from the offsets that
//! the owner of the partitions names, and knows of no group.
//!
//! The protocol is the cooperative one: a member that comes or goes moves the
//! partitions that must move and the others are read on without a pause.
//!
//! | the group says | the member does | the owner does |
//! |---|---|---|
//! | assigned | agrees at once | looks up its offset, starts a reader |
//! | revoked | waits for the owner, at most `revoke_deadline` | stops its task, acknowledges |
//! | lost (the session ran out) | the same | the same; others may read already, the fence holds |

use std::{fmt, sync::Arc, time::Duration};

use compline_event::{Offset, Partition, Position, Topic};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
};
use tokio::sync::oneshot;

use crate::{
    LogConfig, LogError, PartitionReader,
    client::{Client, Names},
    consumer::{Consumer, Ended},
    fetch::Fetcher,
    group::member::Member,
};

mod member;

pub use member::{Ack, Change};

/// How long a goodbye to the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a group's partitions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// A member that the log has not heard from for so long is thrown out, and
    /// its partitions given to others; 6 s or more. Statements that hold the
    /// fence must time out sooner.
    pub session_timeout: Duration,
    /// How long an owner may take to give partitions back.
    pub revoke_deadline: Duration,
    /// The most that is fetched ahead for each partition, bytes. One answer of
    /// the log may go beyond it.
    pub max_ahead_bytes: usize,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            revoke_deadline: Duration::from_secs(5),
            max_ahead_bytes: 4 << 20,
        }
    }
}

/// A member of a group.
pub struct GroupConsumer {
    names: Names,
    fetcher: Arc<Fetcher>,
    /// There until it leaves.
    membership: Option<Membership>,
}

struct Membership {
    consumer: Consumer<Member>,
    /// Dropped, it ends the driver.
    stop: oneshot::Sender<()>,
    left: Ended,
}

impl GroupConsumer {
    pub(crate) fn join(
        log: &LogConfig,
        names: Names,
        group: &str,
        topics: &[Topic],
        config: ConsumerConfig,
    ) -> Result<Self, LogError> {
        let reader = reader_settings(log, group, &config);
        let fetcher = Fetcher::new(Client::new(names.clone(), &reader)?);
        let member = Member::new(names.clone(), &fetcher, config.revoke_deadline);
        let doing = "joining a group";
        let settings = member_settings(log, group, &config);
        let (consumer, left) =
            Consumer::new(&settings, member).map_err(|error| LogError::of(doing, error))?;
        consumer.context().belongs_to(&consumer);
        let wanted: Vec<&str> = topics.iter().map(|topic| names.of(*topic)).collect();
        consumer
            .subscribe(&wanted)
            .map_err(|error| LogError::of(doing, error))?;
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(drive(consumer.clone(), stopped));
        Ok(Self {
            names,
            fetcher,
            membership: Some(Membership {
                consumer,
                stop,
                left,
            }),
        })
    }

    /// Waits for the group's next decision. Cancelled, it loses nothing.
    ///
    /// # Errors
    /// Only what this member cannot go on after; the rest is mended by itself.
    pub async fn change(&mut self) -> Result<Change, LogError> {
        self.consumer().context().next_change().await
    }

    /// Reads an assigned partition from `from` on. Dropping the reader stops it.
    ///
    /// # Errors
    /// [`LogError::NotAssigned`] when the group has taken the partition back,
    /// told or not yet told.
    pub fn start(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<PartitionReader, LogError> {
        let member = self.consumer().context();
        member.while_assigned(topic, partition, || {
            self.fetcher.open(topic, partition, from)
        })
    }

    /// Stops reading a partition that stays assigned; its reader answers
    /// [`crate::ReadError::Revoked`].
    pub fn stop(&self, topic: Topic, partition: Partition) {
        self.fetcher.take_away(topic, partition);
    }

    /// Tells Kafka's tools how far this group is. Nothing is read by it.
    pub fn hint(&self, positions: impl IntoIterator<Item = Position>) {
        let mut list = TopicPartitionList::new();
        for position in positions {
            let offset = rdkafka::Offset::Offset(position.next_offset.0);
            let name = self.names.of(position.topic);
            if let Err(error) = list.add_partition_offset(name, position.partition.0, offset) {
                tracing::debug!(%error, "cannot hint at a position");
            }
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer().commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "cannot hint at positions");
        }
    }

    /// Gives everything back and leaves the group, so that others need not wait
    /// for the session to run out. A log that does not answer is not waited for.
    pub async fn close(mut self) {
        let Some(left) = self.leave() else {
            return;
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, left).await.is_err() {
            tracing::warn!("the log did not hear that a member left its group");
        }
    }

    fn leave(&mut self) -> Option<Ended> {
        let Membership {
            consumer,
            stop,
            left,
        } = self.membership.take()?;
        consumer.context().leave();
        drop(stop);
        Some(left)
    }

    fn consumer(&self) -> &Consumer<Member> {
        let membership = self.membership.as_ref();
        &membership.expect("taken only at the end").consumer
    }
}

/// Does what librdkafka wants done by a member, whatever its owner is busy with:
/// the others in the group wait for it.
async fn drive(consumer: Consumer<Member>, stopped: oneshot::Receiver<()>) {
    let listen = async {
        loop {
            match consumer.recv().await.map_err(judge) {
                Ok(_) => tracing::error!("a group's member was sent a record"),
                Err(Ok(error)) => tracing::info!(%error, "the group's member reports"),
                Err(Err(error)) => return error,
            }
        }
    };
    tokio::select! {
        error = listen => consumer.context().fail(error),
        _ = stopped => {}
    }
}

fn member_settings(log: &LogConfig, group: &str, config: &ConsumerConfig) -> ClientConfig {
    let session = config.session_timeout;
    let heartbeat = (session / 10).min(Duration::from_secs(1));
    let join = session * 2 + config.revoke_deadline;
    let mut settings = log.reader(group);
    settings
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.as_millis().to_string())
        // So long, and 3 s more, librdkafka waits for the answer to a request to join:
        // by default that is five minutes, lost though it may be. Nobody needs more, for
        // an owner gives back what it has within the deadline.
        .set("max.poll.interval.ms", join.as_millis().to_string())
        // A member hears of a rebalance by its next heartbeat.
        .set("heartbeat.interval.ms", heartbeat.as_millis().to_string());
    settings
}

fn reader_settings(log: &LogConfig, group: &str, config: &ConsumerConfig) -> ClientConfig {
    let mut settings = log.reader(group);
    settings
        // A fetch that waits at the end holds up a partition that is started
        // meanwhile, so it must not wait long.
        .set("fetch.wait.max.ms", "100")
        .set("max.partition.fetch.bytes", "1048576")
        .set("queued.min.messages", "100000")
        .set(
            "queued.max.messages.kbytes",
            (config.max_ahead_bytes / 1024).max(64).to_string(),
        )
        // A full queue is looked at again after so long; the default, a second,
        // would let a fast reader run dry.
        .set("fetch.queue.backoff.ms", "5");
    settings
}

/// `Ok` for what librdkafka mends by itself, which is most.
fn judge(error: KafkaError) -> Result<KafkaError, LogError> {
    let doing = "being a member of a group";
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(LogError::Fatal {
            doing,
            source: error,
        });
    }
    match LogError::of(doing, error) {
        LogError::Unavailable { source, .. } => Ok(source),
        error => Err(error),
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for GroupConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupConsumer").finish_non_exhaustive()
    }
}
