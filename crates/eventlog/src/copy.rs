//! Copying a whole log into another one, every record to the offset that it has.
//!
//! What remembers a place in the log (checkpoints, tokens, parked records, ids of
//! outputs) goes on being right, for nothing moves:
//!
//! | the target's partition | then |
//! |---|---|
//! | is empty, and the source begins at 0 | records are copied from 0 |
//! | is empty, and the source begins later | it is filled with placeholders up to there, which are then deleted from the log's beginning |
//! | holds placeholders only | as before, from where that stopped |
//! | ends inside the source, and its last records are the source's | records are copied from its end |
//! | ends there, and they are not | refused |
//! | ends behind the source's end | refused: it has been written to |
//!
//! So a copy that was interrupted is begun again and goes on, and one that is done
//! can be repeated for what was appended since. Whether the two are equal is not
//! believed but read: [`Copier::verify`].

mod error;
mod fill;
mod groups;
mod raw;
mod transfer;
mod verify;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use compline_event::{Offset, Partition, Topic};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

pub use self::{
    error::{CopyError, Side},
    groups::CopiedGroup,
    verify::Verified,
};
use crate::{Bounds, Log, LogConfig, LogError, Mend, Survey};

/// Partitions that are worked on at the same time. Each has at most 8 MiB fetched
/// from each side, and 8 MiB on its way.
const AT_ONCE: usize = 3;

/// One partition of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: Topic,
    pub partition: Partition,
}

/// How far a copy is. Counted over all calls of its [`Copier`].
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    bytes: AtomicU64,
    placeholders: AtomicU64,
    verified: AtomicU64,
}

impl Progress {
    /// Records that the target has acknowledged.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of their keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Offsets that were taken up before a partition's beginning.
    pub fn placeholders(&self) -> u64 {
        self.placeholders.load(Ordering::Relaxed)
    }

    /// Records that were read on both sides and are equal.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }
}

/// Copies from one log to another.
#[derive(Debug)]
pub struct Copier {
    from: Log,
    to: Log,
    topics: Vec<Topic>,
    progress: Arc<Progress>,
}

impl Copier {
    /// Of `topics`, or of all when there are none. Connects when first used.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(from: LogConfig, to: LogConfig, topics: &[Topic]) -> Result<Self, LogError> {
        let topics = match topics {
            [] => Topic::ALL.to_vec(),
            some => some.to_vec(),
        };
        Ok(Self {
            from: Log::new(from)?,
            to: Log::new(to)?,
            topics,
            progress: Arc::default(),
        })
    }

    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Makes the target's topics that are missing, and says what of it would break
    /// a promise.
    pub async fn prepare(&self) -> Result<Survey, CopyError> {
        self.to
            .survey_topics(Mend::Missing)
            .await
            .map_err(CopyError::at(Side::Target))
    }

    /// What the source holds.
    pub async fn source(&self) -> Result<Vec<(Place, Bounds)>, CopyError> {
        self.bounds(Side::Source).await
    }

    /// What the target holds.
    pub async fn target(&self) -> Result<Vec<(Place, Bounds)>, CopyError> {
        self.bounds(Side::Target).await
    }

    /// Copies what the source held when `source` was asked for.
    ///
    /// # Errors
    /// What stops one partition stops all; the same call goes on from there.
    pub async fn copy(&self, source: &[(Place, Bounds)]) -> Result<(), CopyError> {
        let producer = transfer::Producer::new(&self.to, transfer::Kind::Records)?;
        stream::iter(source.to_vec())
            .map(|(place, bounds)| self.copy_one(&producer, place, bounds))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn copy_one(
        &self,
        producer: &transfer::Producer,
        place: Place,
        source: Bounds,
    ) -> Result<(), CopyError> {
        let target = self.bounds_of(Side::Target, place).await?;
        if target.end > source.end {
            return Err(CopyError::TargetIsAhead {
                place,
                source_at: source.end,
                target_at: target.end,
            });
        }
        if target.end <= source.start {
            fill::up_to(self, place, source, target).await?;
        } else {
            verify::tail(self, place, source, target).await?;
        }
        let from = target.end.max(source.start);
        transfer::records(self, producer, place, from, source.end).await
    }

    /// Reads both sides and compares them record by record, up to the ends that the
    /// source had.
    pub async fn verify(&self, source: &[(Place, Bounds)]) -> Result<Vec<Verified>, CopyError> {
        let mut verified: Vec<Verified> = stream::iter(source.to_vec())
            .map(|(place, bounds)| verify::whole(self, place, bounds))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        verified.sort_by_key(|one| one.place);
        Ok(verified)
    }

    /// Copies the committed offsets of every group of the installation. To us they
    /// are hints for people and tools.
    pub async fn groups(&self) -> Result<Vec<CopiedGroup>, CopyError> {
        let (from, to) = (self.from.clone(), self.to.clone());
        let places: Vec<Place> = self.places().collect();
        groups::copy(from, to, places).await
    }

    /// What follows from others is asked for before them: a log that is written to
    /// meanwhile is cut so that no record stands in the copy without its cause.
    async fn bounds(&self, side: Side) -> Result<Vec<(Place, Bounds)>, CopyError> {
        let mut places: Vec<Place> = self.places().collect();
        places.sort_by_key(|place| follows_first(place.topic));
        let mut found = Vec::new();
        for place in places {
            found.push((place, self.bounds_of(side, place).await?));
        }
        Ok(found)
    }

    /// A node of a cluster may die while it is copied to.
    async fn bounds_of(&self, side: Side, place: Place) -> Result<Bounds, CopyError> {
        let log = match side {
            Side::Source => &self.from,
            Side::Target => &self.to,
        };
        let deadline = Instant::now() + raw::PATIENCE;
        loop {
            match log.bounds(place.topic, place.partition).await {
                Err(error) if may_pass(side, &error) && Instant::now() < deadline => {
                    tracing::debug!(%place, %error, "the copy asks again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                found => return found.map_err(CopyError::at(side)),
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let partitions = |topic| Log::partitions(topic).map(move |partition| (topic, partition));
        let all = self.topics.iter().copied().flat_map(partitions);
        all.map(|(topic, partition)| Place { topic, partition })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Webhooks and commands cause what engines tell of ads and accounts, and all of them
/// cause activity.
fn follows_first(topic: Topic) -> u8 {
    match topic {
        Topic::Activity => 0,
        Topic::Ad => 1,
        Topic::Account => 2,
        Topic::Tenant | Topic::WebhookMeta | Topic::WebhookStripe => 3,
    }
}

/// The target's topics were seen a moment ago, so a node that does not know one is late.
fn may_pass(side: Side, error: &LogError) -> bool {
    let late = side == Side::Target && matches!(error, LogError::NoPartition { .. });
    late || error.is_transient()
}

/// How many offsets stand from one to another; none when they run backwards.
fn between(from: Offset, to: Offset) -> u64 {
    u64::try_from(to.0 - from.0).unwrap_or(0)
}
