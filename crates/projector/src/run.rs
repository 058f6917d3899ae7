//! The projector: a member of a consumer group, and the tasks of its partitions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use compline_event::{Offset, Partition, Position, Topic};
use compline_eventlog::{Change, ConsumerConfig, GroupConsumer, Log, LogError, PartitionReader};
use compline_readmodel::{Generation, Place};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    committer::{Committer, Cut},
    fold::Fold,
    lag::Meter,
    owner::{BatchLimits, Owner},
    status::{PartitionState, Status},
    tempo::Tempo,
};

/// How many starts may wait for the consumer.
const REQUESTS: usize = 256;

/// How often Kafka's own tools are told how far the group is. Each telling is a
/// durable write for the log, and nothing of ours reads it.
const HINT_INTERVAL: Duration = Duration::from_secs(2);

/// A transaction of one record costs what one of fifty costs; without a pace,
/// many small ones keep processors busy on which the next step waits. Less often
/// than this, nobody waits for it.
const PACE: Duration = Duration::from_millis(8);

#[derive(Clone, Debug)]
pub struct ProjectorConfig {
    /// The consumer group that shares the work.
    pub group: String,
    pub generation: Generation,
    /// Most records in one transaction, and read ahead of a partition meanwhile.
    pub batch_records: usize,
    /// Most bytes of keys and values in one transaction, and read ahead of a
    /// partition meanwhile.
    pub batch_bytes: usize,
    /// Most transactions that run at once.
    pub transactions: usize,
    /// Least time between the starts of two transactions that are not full: what
    /// comes meanwhile shares the next one.
    pub pace: Duration,
    /// Whether it leaves room for others.
    pub tempo: Tempo,
    pub consumer: ConsumerConfig,
}

impl ProjectorConfig {
    /// The group's name says what it reads for, so that tools show it.
    pub fn new(group: impl Into<String>, generation: Generation) -> Self {
        Self {
            group: group.into(),
            generation,
            batch_records: 2_000,
            batch_bytes: 16 * 1024 * 1024,
            transactions: 4,
            pace: PACE,
            tempo: Tempo::default(),
            consumer: ConsumerConfig::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    #[error("projector {name}: the log")]
    Log { name: String, source: LogError },
}

/// The loop around one fold.
#[derive(Debug)]
pub struct Projector<F> {
    fold: Arc<F>,
    log: Log,
    pool: PgPool,
    config: ProjectorConfig,
    status: Status,
}

impl<F: Fold> Projector<F> {
    /// `pool` has the writer's role and the generation's schema.
    pub fn new(fold: Arc<F>, log: Log, pool: PgPool, config: ProjectorConfig) -> Self {
        Self {
            fold,
            log,
            pool,
            config,
            status: Status::default(),
        }
    }

    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Runs until `stop`; batches in flight are finished.
    ///
    /// # Errors
    /// When the group cannot be joined at all. Whatever happens to a partition
    /// is that partition's and stands in [`Status`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), ProjectorError> {
        let failed = |source| ProjectorError::Log {
            name: self.fold.name().to_owned(),
            source,
        };
        let mut consumer = self
            .log
            .consumer(
                &self.config.group,
                self.fold.topics(),
                self.config.consumer.clone(),
            )
            .map_err(failed)?;
        let (requests, mut requested) = mpsc::channel(REQUESTS);
        let mut hints = tokio::time::interval(HINT_INTERVAL);
        hints.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut hinted = BTreeMap::new();
        let (committer, _committing) = Committer::start(
            self.fold.clone(),
            self.pool.clone(),
            Cut {
                records: self.config.batch_records,
                bytes: self.config.batch_bytes,
                at_once: self.config.transactions,
                pace: self.config.pace,
            },
            self.config.tempo.clone(),
        );
        let meter = Meter::new(
            self.fold.name(),
            self.config.generation,
            self.log.clone(),
            self.pool.clone(),
            self.status.clone(),
        );
        let measuring = meter.run(self.config.tempo.clone());
        let _measuring = AbortOnDropHandle::new(tokio::spawn(measuring));
        let mut owners = Owners {
            projector: &self,
            starter: Starter { requests },
            committer,
            running: HashMap::new(),
        };
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                change = consumer.change() => match change {
                    Ok(Change::Assigned(partitions)) => owners.begin(&partitions),
                    Ok(Change::Revoked(partitions, ack)) => {
                        owners.serve_until_ended(&partitions, &consumer, &mut requested).await;
                        ack.done();
                    }
                    Err(error) => break Err(failed(error)),
                },
                Some(request) = requested.recv() => request.serve(&consumer),
                _ = hints.tick() => consumer.hint(fresh(&self.status, &mut hinted)),
            }
        };
        // Also of a member that has failed: its tasks must not go on without it.
        let all: Vec<_> = owners.running.keys().copied().collect();
        owners
            .serve_until_ended(&all, &consumer, &mut requested)
            .await;
        consumer.close().await;
        ended
    }
}

/// The tasks of the partitions that are ours now. None outlives it.
struct Owners<'a, F> {
    projector: &'a Projector<F>,
    starter: Starter,
    committer: Committer,
    running: HashMap<(Topic, Partition), (CancellationToken, AbortOnDropHandle<()>)>,
}

impl<F: Fold> Owners<'_, F> {
    fn begin(&mut self, partitions: &[(Topic, Partition)]) {
        for (topic, partition) in partitions {
            let stop = CancellationToken::new();
            let config = &self.projector.config;
            let owner = Owner {
                fold: self.projector.fold.clone(),
                log: self.projector.log.clone(),
                pool: self.projector.pool.clone(),
                place: Place {
                    projection: self.projector.fold.name().to_owned(),
                    generation: config.generation,
                    topic: *topic,
                    partition: *partition,
                },
                starter: self.starter.clone(),
                committer: self.committer.clone(),
                status: self.projector.status.clone(),
                limits: BatchLimits {
                    records: config.batch_records,
                    bytes: config.batch_bytes,
                },
                had_trouble: false,
                stop: stop.clone(),
            };
            let watched = watch(owner, self.projector.status.clone());
            let task = AbortOnDropHandle::new(tokio::spawn(watched));
            self.running.insert((*topic, *partition), (stop, task));
        }
    }

    /// Stops the tasks of `partitions` and waits for their last batches, serving
    /// what they still ask of the consumer meanwhile.
    async fn serve_until_ended(
        &mut self,
        partitions: &[(Topic, Partition)],
        consumer: &GroupConsumer,
        requested: &mut mpsc::Receiver<Start>,
    ) {
        let ending: Vec<_> = partitions
            .iter()
            .filter_map(|at| self.running.remove(at))
            .collect();
        for (stop, _) in &ending {
            stop.cancel();
        }
        let ended = async {
            for (_, task) in ending {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a partition's task was cut short");
                }
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => break,
                Some(request) = requested.recv() => request.serve(consumer),
            }
        }
        for (topic, partition) in partitions {
            consumer.stop(*topic, *partition);
        }
    }
}

/// Runs an owner; one that panics leaves a partition that stands still and says so.
async fn watch<F: Fold>(owner: Owner<F>, status: Status) {
    let (topic, partition) = (owner.place.topic, owner.place.partition);
    let stop = owner.stop.clone();
    if let Err(error) = AbortOnDropHandle::new(tokio::spawn(owner.run())).await {
        tracing::error!(%topic, %partition, %error, "a partition's task panicked");
        let reason = format!("its task panicked: {error}");
        status.set(topic, partition, PartitionState::Stopped { reason });
        stop.cancelled().await;
        status.forget(topic, partition);
    }
}

/// The positions that were not hinted at before.
fn fresh(status: &Status, hinted: &mut BTreeMap<(Topic, Partition), Offset>) -> Vec<Position> {
    status
        .positions()
        .filter(|at| {
            hinted.insert((at.topic, at.partition), at.next_offset) != Some(at.next_offset)
        })
        .collect()
}

/// What a partition's task asks of the consumer, which one task owns.
#[derive(Debug)]
pub(crate) struct Start {
    topic: Topic,
    partition: Partition,
    from: Offset,
    reply: oneshot::Sender<Result<PartitionReader, LogError>>,
}

impl Start {
    fn serve(self, consumer: &GroupConsumer) {
        // A task that begins anew still has its old reader assigned.
        consumer.stop(self.topic, self.partition);
        // Whoever asked may be gone by now; then the reader is dropped.
        let _ = self
            .reply
            .send(consumer.start(self.topic, self.partition, self.from));
    }
}

/// A partition's way to the consumer.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    requests: mpsc::Sender<Start>,
}

/// The projector has gone away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the consumer is closed")]
    Closed,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Starter {
    pub(crate) async fn start(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<PartitionReader, StartError> {
        let (reply, answer) = oneshot::channel();
        let request = Start {
            topic,
            partition,
            from,
            reply,
        };
        self.requests
            .send(request)
            .await
            .map_err(|_| StartError::Closed)?;
        Ok(answer.await.map_err(|_| StartError::Closed)??)
    }
}
