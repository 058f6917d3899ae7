//! The member's side of a rebalance.
//!
//! librdkafka calls [`Member::rebalance`] from inside a poll. It only notes down
//! what was decided; whoever owns the partitions acts on it.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use compline_event::{Partition, Topic};
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr as Respond,
};
use tokio::sync::Notify;

use crate::{
    LogError,
    client::Names,
    consumer::{Consumer, WeakConsumer},
    context,
    fetch::Fetcher,
};

/// What the group has decided.
#[derive(Debug)]
pub enum Change {
    /// These are ours from now on, besides those that we have.
    Assigned(Vec<(Topic, Partition)>),
    /// These go to others: stop their tasks, then acknowledge.
    Revoked(Vec<(Topic, Partition)>, Ack),
}

/// Given back when nothing works on the revoked partitions any more; the group
/// waits for it. Dropping it says the same. After the deadline the partitions go
/// without it: their readers stop, and the fence protects the rows.
#[must_use = "the group waits until this is dropped"]
pub struct Ack(Arc<Surrender>);

impl Ack {
    pub fn done(self) {}
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.0.partitions).finish()
    }
}

pub(crate) struct Member {
    names: Names,
    fetcher: Weak<Fetcher>,
    revoke_deadline: Duration,
    /// The consumer that this is the context of.
    consumer: OnceLock<WeakConsumer<Member>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    assigned: BTreeSet<(Topic, Partition)>,
    /// Decided and not yet told.
    changes: VecDeque<Change>,
    /// The last revocation; librdkafka begins no other before it is given back.
    surrender: Weak<Surrender>,
    failed: Option<LogError>,
    leaving: bool,
}

impl Member {
    pub(super) fn new(names: Names, fetcher: &Arc<Fetcher>, revoke_deadline: Duration) -> Self {
        Self {
            names,
            fetcher: Arc::downgrade(fetcher),
            revoke_deadline,
            consumer: OnceLock::new(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn belongs_to(&self, consumer: &Consumer<Member>) {
        // Said once, right after the consumer was made.
        let _ = self.consumer.set(consumer.downgrade());
    }

    pub(super) async fn next_change(&self) -> Result<Change, LogError> {
        loop {
            {
                let mut state = self.state();
                if let Some(change) = state.changes.pop_front() {
                    return Ok(change);
                }
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
            }
            self.changed.notified().await;
        }
    }

    /// This member is no more.
    pub(super) fn fail(&self, error: LogError) {
        self.state().failed = Some(error);
        self.leave();
        self.changed.notify_one();
    }

    /// Does `start` while the group cannot take the partition back.
    pub(super) fn while_assigned<T>(
        &self,
        topic: Topic,
        partition: Partition,
        start: impl FnOnce() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let state = self.state();
        if !state.assigned.contains(&(topic, partition)) {
            return Err(LogError::NotAssigned { topic, partition });
        }
        start()
    }

    /// Gives everything back and agrees to whatever the group says from now on:
    /// nobody will ask for changes any more.
    pub(super) fn leave(&self) {
        let (changes, surrender) = {
            let mut state = self.state();
            state.leaving = true;
            (mem::take(&mut state.changes), state.surrender.upgrade())
        };
        drop(changes);
        if let Some(surrender) = surrender {
            surrender.give_back();
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: Vec<(Topic, Partition)>) {
        // Agreed to with an empty list: the member itself reads nothing.
        if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
            tracing::error!(%error, "could not agree to an assignment");
        }
        let mut state = self.state();
        state.assigned.extend(&partitions);
        if !partitions.is_empty() && !state.leaving {
            state.changes.push_back(Change::Assigned(partitions));
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: Vec<(Topic, Partition)>) {
        if self.state().leaving {
            // The consumer is being dropped, so only this borrow of it is left.
            if let Err(error) = consumer.incremental_unassign(&TopicPartitionList::new()) {
                tracing::error!(%error, "could not give partitions back");
            }
            return;
        }
        let surrender = Arc::new(Surrender {
            partitions,
            fetcher: Weak::clone(&self.fetcher),
            consumer: self.consumer.get().cloned().unwrap_or_default(),
            done: AtomicBool::new(false),
        });
        let ack = Ack(Arc::clone(&surrender));
        let mut state = self.state();
        for at in &surrender.partitions {
            state.assigned.remove(at);
        }
        state.surrender = Arc::downgrade(&surrender);
        let revoked = Change::Revoked(surrender.partitions.clone(), ack);
        state.changes.push_back(revoked);
        drop(state);
        tokio::spawn(surrender.after(self.revoke_deadline));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// Partitions on their way back to the group.
struct Surrender {
    partitions: Vec<(Topic, Partition)>,
    fetcher: Weak<Fetcher>,
    consumer: WeakConsumer<Member>,
    done: AtomicBool,
}

impl Surrender {
    /// Once; it does not matter who is first.
    fn give_back(&self) {
        if self.done.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(fetcher) = self.fetcher.upgrade() {
            for (topic, partition) in &self.partitions {
                fetcher.take_away(*topic, *partition);
            }
        }
        let Some(consumer) = self.consumer.upgrade() else {
            return;
        };
        if let Err(error) = consumer.incremental_unassign(&TopicPartitionList::new()) {
            tracing::error!(%error, "could not give partitions back");
        }
    }

    async fn after(self: Arc<Self>, deadline: Duration) {
        tokio::time::sleep(deadline).await;
        if !self.done.load(Ordering::Acquire) {
            let partitions = self.partitions.len();
            tracing::warn!(
                partitions,
                "partitions were not given back in time; they go without their owner's word"
            );
            self.give_back();
        }
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        decision: Respond,
        list: &mut TopicPartitionList,
    ) {
        let partitions = list
            .elements()
            .iter()
            .filter_map(|at| Some((self.names.topic(at.topic())?, Partition(at.partition()))))
            .collect();
        match decision {
            Respond::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        }
        self.changed.notify_one();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "a hint at positions was not taken");
        }
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::log_error(&error, reason);
    }
}
