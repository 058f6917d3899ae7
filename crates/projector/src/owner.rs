//! One partition's life, from claim to revocation.
//!
//! ```text
//!   claim ──▶ check bounds ──▶ verify the record before ──▶ batch ⟲
//!     ▲                                                       │
//!     ├── Again: back off, forget everything ◀── error, ──────┤
//!     │                                       another epoch   │
//!     └ (Halt: stands still until somebody looks) ◀── hole, log cut, damaged or made anew
//! ```

use std::{sync::Arc, time::Duration};

use compline_event::{Offset, RecordId};
use compline_eventlog::{Log, PartitionReader, ReadError, Record};
use compline_readmodel::{Fence, Lease, Place, crash, generation, hold};
use rand::Rng as _;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    batch::chain,
    commit::{Batch, Outcome},
    committer::{Committer, Reply, Turn, Uncommitted},
    fold::{Fold, PutOff},
    metric,
    run::Starter,
    status::{PartitionState, Status},
};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A record that the log has comes within milliseconds.
const DOUBTED_AFTER: Duration = Duration::from_secs(3);

/// How often a partition without records looks where its checkpoint is: a crash of
/// Postgres may have taken its last batches back, and nothing else would tell.
const IDLE_LOOK: Duration = Duration::from_secs(5);

/// How often a partition that is held looks whether it still is.
const HELD_POLL: Duration = Duration::from_millis(50);

/// Bounds of one batch; its transaction must end well within the writer's
/// statement time-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl BatchLimits {
    fn halved(self) -> Self {
        Self {
            records: (self.records / 2).max(1),
            bytes: (self.bytes / 2).max(1),
        }
    }

    fn without(self, records: usize, bytes: usize) -> Self {
        Self {
            records: self.records.saturating_sub(records),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    fn is_full(self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn doubled(self, most: Self) -> Self {
        Self {
            records: self.records.saturating_mul(2).min(most.records),
            bytes: self.bytes.saturating_mul(2).min(most.bytes),
        }
    }
}

/// The task that owns a partition for one fold.
pub(crate) struct Owner<F> {
    pub(crate) fold: Arc<F>,
    pub(crate) log: Log,
    pub(crate) pool: PgPool,
    pub(crate) place: Place,
    pub(crate) starter: Starter,
    pub(crate) committer: Committer,
    pub(crate) status: Status,
    pub(crate) limits: BatchLimits,
    /// Since the last batch that was committed.
    pub(crate) had_trouble: bool,
    /// Cancelled when the partition is taken away or the process stops. A batch
    /// in flight is finished first.
    pub(crate) stop: CancellationToken,
}

/// How a cycle ended.
enum End {
    Stopped,
    /// The transaction took longer than Postgres lets it: begin anew with less.
    TooLong(String),
    /// The world: everything remembered is forgotten, and it begins anew.
    Again(String),
    /// Nothing that a retry could mend.
    Halt(String),
}

impl<E: std::error::Error> From<E> for End {
    fn from(error: E) -> Self {
        End::Again(chain(&error))
    }
}

impl End {
    fn of(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::TooLong(reason) => End::TooLong(reason),
            Uncommitted::Transient(reason) | Uncommitted::Unreachable(reason) => End::Again(reason),
            Uncommitted::Early(_) => End::Again("it has to wait for other inputs".to_owned()),
            Uncommitted::Panicked => End::Halt("a batch's fold panicked".to_owned()),
        }
    }
}

impl<F: Fold> Owner<F> {
    pub(crate) async fn run(mut self) {
        let most = self.limits;
        let Place {
            topic, partition, ..
        } = self.place;
        let mut delay = FIRST_DELAY;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            self.set(PartitionState::Claiming);
            let end = self.cycle(most).await;
            if let End::TooLong(_) = end {
                self.limits = self.limits.halved();
            }
            match end {
                End::Stopped => break,
                End::Halt(reason) => {
                    tracing::error!(projection = self.fold.name(), %topic, %partition, reason,
                        "the partition stands still until somebody has looked, see docs/operations.md");
                    self.set(PartitionState::Stopped { reason });
                    self.stop.cancelled().await;
                    break;
                }
                End::Again(reason) | End::TooLong(reason) => {
                    self.had_trouble = true;
                    tracing::warn!(projection = self.fold.name(), %topic, %partition, reason,
                        "the partition begins anew after a back-off");
                    metrics::counter!(metric::RETRIES, self.labels()).increment(1);
                    self.set(PartitionState::Retrying { reason });
                    // It ran well for a while: this is a new trouble, not the old one.
                    if began.elapsed() > LONGEST_DELAY {
                        delay = FIRST_DELAY;
                    }
                    let jittered = delay.mul_f64(rand::rng().random_range(0.5..1.0));
                    tokio::select! {
                        () = self.stop.cancelled() => break,
                        () = tokio::time::sleep(jittered) => {}
                    }
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
            }
        }
        self.status.forget(topic, partition);
    }

    async fn cycle(&mut self, most: BatchLimits) -> End {
        match self.follow(most).await {
            Ok(end) | Err(end) => end,
        }
    }

    /// Claims the partition and applies batches until something ends it.
    async fn follow(&mut self, most: BatchLimits) -> Result<End, End> {
        let mut fence = self.claim().await?;
        self.stands(&fence, None);
        self.prepare().await?;
        let mut reader = self.open(&fence).await?;
        loop {
            if fence
                .held_at
                .is_some_and(|held_at| held_at <= fence.next_offset)
            {
                self.wait_until_let_go(&mut fence).await?;
                reader.seek(fence.next_offset)?;
            }
            self.set(PartitionState::Running {
                next_offset: fence.next_offset,
            });
            let records = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(End::Stopped),
                records = reader.next_batch(self.limits.records, self.limits.bytes) => records,
                () = tokio::time::sleep(IDLE_LOOK) => {
                    self.look_while_idle(&mut fence, &mut reader).await?;
                    continue;
                }
            };
            let records = records.map_err(unreadable)?;
            crash::point("polled");
            if let Some(first) = records.first() {
                let Place {
                    topic, partition, ..
                } = self.place;
                self.status.has_read(topic, partition, first.timestamp_ms);
            }
            let (turn, mut records, failed) = self.gather(&mut reader, records).await?;
            if let Some(held_at) = fence.held_at {
                records.retain(|record| record.at.offset < held_at);
            }
            if records.is_empty() {
                // Nothing stands between the fence and where it is held.
                tokio::time::sleep(HELD_POLL).await;
                self.look_again(&mut fence).await?;
                reader.seek(fence.next_offset)?;
            } else if self.commit(turn, &mut fence, records).await? {
                self.limits = self.limits.doubled(most);
                self.had_trouble = false;
            } else {
                self.look_again(&mut fence).await?;
                self.prepare().await?;
                reader.seek(fence.next_offset)?;
            }
            if let Some(error) = failed {
                return Err(unreadable(error));
            }
        }
    }

    /// Waits for the partition's turn, and reads on meanwhile. An error of the
    /// reading is told beside what was read before it.
    async fn gather(
        &self,
        reader: &mut PartitionReader,
        mut records: Vec<Record>,
    ) -> Result<(Turn, Vec<Record>, Option<ReadError>), End> {
        let mut failed = None;
        let topic = self.place.topic;
        let mut queued = self.committer.queue(topic, self.had_trouble).await?;
        loop {
            let bytes = bytes_of(&records);
            queued.has(records.len(), bytes);
            let left = self.limits.without(records.len(), bytes);
            tokio::select! {
                biased;
                turn = queued.turn() => return Ok((turn?, records, failed)),
                () = self.stop.cancelled() => return Err(End::Stopped),
                more = reader.next_batch(left.records, left.bytes),
                    if failed.is_none() && !left.is_full() => match more {
                    Ok(more) => records.extend(more),
                    Err(error) => failed = Some(error),
                }
            }
        }
    }

    /// Nothing is read meanwhile: what is ready then is what was read before.
    async fn commit_when_ready(&self, mut batch: Batch) -> Result<Reply, End> {
        let waits = |reason| self.set(PartitionState::Waiting { reason });
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(End::Stopped),
            ready = self.fold.ready(self.place.topic, &waits) => ready.map_err(put_off)?,
        }
        batch.is_ready = true;
        let topic = self.place.topic;
        let mut queued = self.committer.queue(topic, self.had_trouble).await?;
        queued.has(batch.records.len(), bytes_of(&batch.records));
        let turn = tokio::select! {
            biased;
            turn = queued.turn() => turn?,
            () = self.stop.cancelled() => return Err(End::Stopped),
        };
        Ok(turn.commit(batch).await)
    }

    async fn prepare(&self) -> Result<(), End> {
        tokio::select! {
            () = self.stop.cancelled() => Err(End::Stopped),
            prepared = self.fold.claimed() => prepared.map_err(put_off),
        }
    }

    async fn claim(&self) -> Result<Fence, End> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        if let Some(fence) = line.heard(Fence::claim(&mut conn, &self.place)).await? {
            return Ok(fence);
        }
        Err(self
            .missing(
                &mut conn,
                "has no checkpoint for this partition: run `compline migrate`; or, if this build \
                 reads a topic that the generation was not made for, rebuild it",
            )
            .await)
    }

    /// A reader that stands at the fence, after the record before it was seen to
    /// be the one that was applied last.
    async fn open(&self, fence: &Fence) -> Result<PartitionReader, End> {
        let Place {
            topic, partition, ..
        } = self.place;
        let bounds = self.log.bounds(topic, partition).await?;
        let next = fence.next_offset;
        if next < bounds.start || next > bounds.end {
            return Err(End::Halt(format!(
                "the checkpoint is at {next}, but the log holds {} up to {}: it was cut, made anew, \
                 or expired before it was read",
                bounds.start, bounds.end
            )));
        }
        let before = Offset(next.0 - 1);
        let Some(expected) = fence.last_event_id.filter(|_| before >= bounds.start) else {
            return Ok(self.starter.start(topic, partition, next).await?);
        };
        let mut reader = self.starter.start(topic, partition, before).await?;
        let found = tokio::select! {
            () = self.stop.cancelled() => return Err(End::Stopped),
            gone = self.is_gone(before) => return Err(gone?),
            found = reader.next_batch(1, 1) => found.map_err(unreadable)?,
        };
        if found.first().and_then(Record::event_id) != Some(expected) {
            let at = RecordId {
                topic,
                partition,
                offset: before,
            };
            return Err(End::Halt(format!(
                "the record at {at} is not the one that was applied last ({expected}): \
                 the log was cut or made anew"
            )));
        }
        Ok(reader)
    }

    /// Comes back when nothing stands at an offset that the log says it has: a reader
    /// would wait there for what comes next, which at the log's end may be long.
    async fn is_gone(&self, offset: Offset) -> Result<End, End> {
        tokio::time::sleep(DOUBTED_AFTER).await;
        let Place {
            topic, partition, ..
        } = self.place;
        let mut replay = self.log.replay(topic, partition, offset, offset.next())?;
        if replay.next_batch().await.map_err(unreadable)?.is_some() {
            return Ok(End::Again("the log is slow".to_owned()));
        }
        let at = RecordId {
            topic,
            partition,
            offset,
        };
        Ok(End::Halt(format!(
            "the record at {at}, which was applied last, is not there any more: it was cut out of the log"
        )))
    }

    /// `false` when the fence was lost.
    async fn commit(
        &self,
        turn: Turn,
        fence: &mut Fence,
        records: Vec<Record>,
    ) -> Result<bool, End> {
        let last_recorded_ms = records.last().map(|record| record.timestamp_ms);
        let batch = Batch {
            fence: fence.clone(),
            records,
            is_ready: false,
        };
        let committed = match turn.commit(batch).await {
            Err(Uncommitted::Early(batch)) => self.commit_when_ready(batch).await?,
            committed => committed,
        };
        let (batch, outcome) = committed.map_err(End::of)?;
        match outcome {
            Outcome::Committed(_) => {
                *fence = batch.fence;
                self.stands(fence, last_recorded_ms);
                Ok(true)
            }
            Outcome::FenceLost => {
                metrics::counter!(metric::FENCES_LOST, self.labels()).increment(1);
                Ok(false)
            }
            Outcome::Hole(hole) => Err(End::Halt(format!(
                "output {} of {} is missing: offset {} carries {}",
                hole.expected, hole.producer, hole.offset, hole.found
            ))),
        }
    }

    /// Stands still at the fence for as long as somebody holds it there.
    async fn wait_until_let_go(&self, fence: &mut Fence) -> Result<(), End> {
        let at = fence.next_offset;
        self.set(PartitionState::Held { at });
        while fence.held_at.is_some_and(|held_at| held_at <= at) {
            tokio::select! {
                () = self.stop.cancelled() => return Err(End::Stopped),
                () = tokio::time::sleep(HELD_POLL) => {}
            }
            let mut conn = Lease::of(&self.pool).await?;
            let line = conn.line();
            line.heard(hold::release_left_over(&mut conn, &self.place))
                .await?;
            drop(conn);
            self.look_again(fence).await?;
        }
        Ok(())
    }

    async fn look_while_idle(
        &self,
        fence: &mut Fence,
        reader: &mut PartitionReader,
    ) -> Result<(), End> {
        let left_at = fence.next_offset;
        self.look_again(fence).await?;
        if fence.next_offset != left_at {
            self.prepare().await?;
            reader.seek(fence.next_offset)?;
        }
        Ok(())
    }

    /// The table of `readmodel::checkpoint`, from its second row on.
    async fn look_again(&self, fence: &mut Fence) -> Result<(), End> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let Some(row) = line.heard(Fence::look(&mut conn, &self.place)).await? else {
            return Err(self.missing(&mut conn, "has lost its checkpoint").await);
        };
        if row.epoch != fence.epoch {
            return Err(End::Again(
                "another owner has claimed the partition".to_owned(),
            ));
        }
        if row.next_offset != fence.next_offset {
            tracing::warn!(projection = self.fold.name(), topic = %self.place.topic,
                partition = %self.place.partition, from = %fence.next_offset, to = %row.next_offset,
                "the checkpoint is not where it was left, going on from there");
        }
        *fence = row;
        self.stands(fence, None);
        Ok(())
    }

    /// Why there is no checkpoint. A generation that was dropped just ends.
    async fn missing(&self, conn: &mut PgConnection, what: &str) -> End {
        let Place {
            projection,
            generation,
            ..
        } = &self.place;
        match generation::is_dropped(conn, projection, *generation).await {
            Ok(true) => End::Stopped,
            Ok(false) => End::Halt(format!("{projection} generation {generation} {what}")),
            Err(error) => error.into(),
        }
    }

    fn stands(&self, fence: &Fence, last_recorded_ms: Option<i64>) {
        let Place {
            topic, partition, ..
        } = self.place;
        let next = fence.next_offset;
        self.status.stands(topic, partition, next, last_recorded_ms);
    }

    fn labels(&self) -> Vec<metrics::Label> {
        metric::labels(&self.place.projection, self.place.generation)
    }

    fn set(&self, state: PartitionState) {
        self.status
            .set(self.place.topic, self.place.partition, state);
    }
}

fn bytes_of(records: &[Record]) -> usize {
    records.iter().map(Record::size).sum()
}

fn unreadable(error: ReadError) -> End {
    match error {
        ReadError::Revoked { .. } => End::Stopped,
        ReadError::OutOfRange { .. } | ReadError::Damaged { .. } => End::Halt(error.to_string()),
        ReadError::Transient { .. } => error.into(),
    }
}

fn put_off(put_off: PutOff) -> End {
    match put_off {
        PutOff::Halt(error) => End::Halt(chain(&*error)),
        again @ PutOff::Again(_) => again.into(),
    }
}
