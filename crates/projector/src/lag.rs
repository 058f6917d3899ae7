//! How far the partitions of this process are behind the log, measured every second
//! and shown as metrics: between the log's end and where each stands.
//!
//! How old the oldest unapplied record is, its reader mostly knows:
//!
//! | the partition | the age is |
//! |---|---|
//! | has read the record where it stands | that record's |
//! | has moved since the last look | at most that of the one it applied last |
//! | has not moved and not read it | that record's, read from the log once |
//! | has not, and the log gives no record | as long as that was seen |
//!
//! What was shown of a partition that is not ours any more is shown as 0.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use compline_event::{Offset, Partition, RecordId, Topic};
use compline_eventlog::{Log, LogError};
use compline_readmodel::{Generation, Lease, park};
use metrics::{Label, gauge};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    metric,
    status::{Behind, PartitionState, Stand, Status},
    tempo::Tempo,
};

const EVERY: Duration = Duration::from_secs(1);

/// How soon the first look is tried again, until there is something to look at.
const AT_FIRST: Duration = Duration::from_millis(100);

/// Parked keys change rarely.
const PARKED_EVERY: Duration = Duration::from_secs(5);

/// Measures one projector's partitions.
#[derive(Debug)]
pub(crate) struct Meter {
    log: Log,
    pool: PgPool,
    status: Status,
    projection: String,
    generation: Generation,
    seen: BTreeMap<(Topic, Partition), Seen>,
}

/// A partition at the last look.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Offset,
    since_ms: i64,
    recorded_ms: Option<i64>,
    /// The log has been asked for the record.
    asked: bool,
}

impl Seen {
    fn now(at: Offset, now_ms: i64) -> Self {
        Self {
            at,
            since_ms: now_ms,
            recorded_ms: None,
            asked: false,
        }
    }
}

/// One topic's partitions together.
#[derive(Clone, Copy, Debug, Default)]
struct OfTopic {
    partitions: u32,
    events: u64,
    oldest_ms: i64,
}

impl Meter {
    pub(crate) fn new(
        projection: &str,
        generation: Generation,
        log: Log,
        pool: PgPool,
        status: Status,
    ) -> Self {
        Self {
            log,
            pool,
            status,
            projection: projection.to_owned(),
            generation,
            seen: BTreeMap::new(),
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self, tempo: Tempo) {
        metric::register(&self.labels());
        let (mut live, mut lag, mut parked) =
            (Shown::default(), Shown::default(), Shown::default());
        let mut next_count = Instant::now();
        loop {
            let is_live = f64::from(u8::from(tempo.is_live()));
            live.show([((metric::LIVE, self.labels()), is_live)]);
            match self.look(now_ms()).await {
                Ok(values) => lag.show(values),
                Err(error) => {
                    tracing::debug!(projection = self.projection, %error, "lag cannot be measured");
                }
            }
            if next_count <= Instant::now() {
                next_count = Instant::now() + PARKED_EVERY;
                match self.count_parked().await {
                    Ok(values) => parked.show(values),
                    Err(error) => {
                        tracing::debug!(projection = self.projection, %error, "parked keys cannot be counted");
                    }
                }
            }
            let measured = self.status.behind().is_some();
            tokio::time::sleep(if measured { EVERY } else { AT_FIRST }).await;
        }
    }

    async fn look(&mut self, now_ms: i64) -> Result<Values, LogError> {
        let owned = self.status.owned();
        self.seen.retain(|place, _| owned.contains_key(place));
        if owned.is_empty() {
            self.status.measured(None);
            return Ok(Values::new());
        }
        let places: Vec<(Topic, Partition)> = owned.keys().copied().collect();
        let ends = self.log.ends(&places).await?;

        let mut values = Values::new();
        let mut topics: BTreeMap<Topic, OfTopic> = BTreeMap::new();
        let mut behind = Some(Behind::default());
        for (topic, partition, end) in ends {
            let Some(owned) = owned.get(&(topic, partition)) else {
                continue;
            };
            let is_stopped = matches!(owned.state, PartitionState::Stopped { .. });
            values.insert(
                (metric::STOPPED, self.labels_of(topic, Some(partition))),
                f64::from(u8::from(is_stopped)),
            );
            let of_topic = topics.entry(topic).or_default();
            of_topic.partitions += 1;
            let Some(stand) = owned.stand else {
                if !is_stopped {
                    behind = None;
                }
                continue;
            };
            let events = u64::try_from(end.0 - stand.next_offset.0).unwrap_or(0);
            let recorded_ms = match events {
                0 => self.sees_no_more(topic, partition, stand.next_offset, now_ms),
                _ => self.oldest_ms(topic, partition, &stand, now_ms).await,
            };
            let age_ms = (now_ms - recorded_ms).max(0);
            of_topic.events += events;
            of_topic.oldest_ms = of_topic.oldest_ms.max(age_ms);
            if let Some(behind) = behind.as_mut().filter(|_| !is_stopped) {
                let age = Duration::from_millis(age_ms.unsigned_abs());
                behind.partitions += 1;
                behind.events += events;
                behind.oldest = behind.oldest.max(age);
            }
        }
        self.status.measured(behind);
        for (topic, of_topic) in topics {
            let labels = self.labels_of(topic, None);
            let partitions = f64::from(of_topic.partitions);
            values.insert((metric::PARTITIONS, labels.clone()), partitions);
            values.insert((metric::LAG_EVENTS, labels.clone()), of_topic.events as f64);
            let seconds = of_topic.oldest_ms as f64 / 1000.0;
            values.insert((metric::LAG_SECONDS, labels), seconds);
        }
        Ok(values)
    }

    /// Nothing is there to be old.
    fn sees_no_more(&mut self, topic: Topic, partition: Partition, at: Offset, now_ms: i64) -> i64 {
        let seen = Seen::now(at, now_ms);
        self.seen.insert((topic, partition), seen);
        now_ms
    }

    /// The table at the top.
    async fn oldest_ms(
        &mut self,
        topic: Topic,
        partition: Partition,
        stand: &Stand,
        now_ms: i64,
    ) -> i64 {
        let offset = stand.next_offset;
        let before = self.seen.get(&(topic, partition)).copied();
        let same = before.filter(|before| before.at == offset);
        let mut seen = same.unwrap_or(Seen::now(offset, now_ms));
        seen.recorded_ms = seen.recorded_ms.or(stand.next_recorded_ms);
        if seen.recorded_ms.is_none() && !seen.asked {
            let has_moved = before.is_some_and(|before| before.at < offset);
            if let Some(last_ms) = stand.last_recorded_ms.filter(|_| has_moved) {
                self.seen.insert((topic, partition), seen);
                return last_ms;
            }
            let at = RecordId {
                topic,
                partition,
                offset,
            };
            seen.asked = true;
            let read = self.log.read_at(at).await.ok().flatten();
            seen.recorded_ms = read.map(|record| record.timestamp_ms);
        }
        self.seen.insert((topic, partition), seen);
        seen.recorded_ms.unwrap_or(seen.since_ms)
    }

    async fn count_parked(&self) -> Result<Values, sqlx::Error> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let counts = park::counts(&mut conn, &self.projection, self.generation);
        let counts = line.heard(counts).await?;
        let owned = self.status.owned();
        let topics = owned.keys().map(|(topic, _)| *topic);
        let mut sums: BTreeMap<Topic, i64> = topics.map(|topic| (topic, 0)).collect();
        for (topic, partition, keys) in counts {
            if owned.contains_key(&(topic, partition)) {
                *sums.entry(topic).or_default() += keys;
            }
        }
        let of = |(topic, keys)| {
            let labels = self.labels_of(topic, None);
            ((metric::PARKED_KEYS, labels), keys as f64)
        };
        Ok(sums.into_iter().map(of).collect())
    }

    fn labels(&self) -> Vec<Label> {
        metric::labels(&self.projection, self.generation)
    }

    fn labels_of(&self, topic: Topic, partition: Option<Partition>) -> Vec<Label> {
        let mut labels = self.labels();
        labels.push(Label::new("topic", topic.as_str()));
        labels.extend(partition.map(|of| Label::new("partition", of.to_string())));
        labels
    }
}

type Values = BTreeMap<(&'static str, Vec<Label>), f64>;

/// The gauges that stand for something. What was shown and is gone is shown as 0.
#[derive(Debug, Default)]
struct Shown(BTreeSet<(&'static str, Vec<Label>)>);

impl Shown {
    fn show(&mut self, values: impl IntoIterator<Item = ((&'static str, Vec<Label>), f64)>) {
        let mut gone = std::mem::take(&mut self.0);
        for (series, value) in values {
            gauge!(series.0, series.1.clone()).set(value);
            gone.remove(&series);
            self.0.insert(series);
        }
        Self::clear(&gone);
    }

    fn clear(gone: &BTreeSet<(&'static str, Vec<Label>)>) {
        for (name, labels) in gone {
            gauge!(*name, labels.clone()).set(0.0);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        Self::clear(&self.0);
    }
}

fn now_ms() -> i64 {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    i64::try_from(now).unwrap_or(i64::MAX)
}
