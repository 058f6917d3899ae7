//! Tells what was decided: appends the outbox in number order, and deletes what
//! the log has acknowledged.
//!
//! One process relays for an engine: the one that holds an advisory lock. Two at
//! once would do no harm to readers, who drop repeated numbers; the epoch keeps
//! the older one from deleting what it did not see acknowledged.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use compline_event::{Offset, Partition, RecordId, Topic};
use compline_eventlog::{AppendError, Appender, AppenderConfig, Log, LogError, append_span};
use compline_readmodel::{
    Database, Role, SILENCE,
    crash::{self, Guard},
    unless_silent,
};
use compline_runtime::telemetry::trace_context::follow;
use sqlx::{Connection as _, PgConnection};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    SCHEMA, metric,
    recovery::{Recovery, RecoveryError},
};

/// Most outputs, and bytes of them, told of one partition between two looks at the
/// outbox; one output is always told.
const ROUND_OUTPUTS: i64 = 1_000;
const ROUND_BYTES: i64 = 2 * 1024 * 1024;

/// How long the log may take with the last words of a process that stops. What is
/// not told by then is told by the next.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Another process may decide without waking this one.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Least time between the starts of two rounds: what is decided meanwhile is told
/// together.
const PACE: Duration = Duration::from_millis(4);

/// How often a process that does not relay tries to become the one that does.
const LEAD_INTERVAL: Duration = Duration::from_secs(1);

const RETRY_DELAY: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the outbox")]
    Outbox(#[from] sqlx::Error),
    #[error("an append")]
    Append(#[from] AppendError),
    #[error("the log")]
    Log(#[from] LogError),
    #[error("what the log holds")]
    Recovery(#[from] RecoveryError),
    #[error("another process relays for {engine}")]
    Deposed { engine: &'static str },
}

pub(crate) struct Relay {
    pub(crate) engine: &'static str,
    pub(crate) log: Log,
    pub(crate) database: Database,
    /// Told by this process's loop after each commit.
    pub(crate) decided: Arc<Notify>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) stop: CancellationToken,
}

/// The end of what is known to be in the log, per output partition.
type Acked = BTreeMap<(Topic, Partition), (i64, Offset)>;

impl Relay {
    /// Runs until `stop`.
    pub(crate) async fn run(self) {
        while !self.stop.is_cancelled() {
            let led = self.lead().await;
            metrics::gauge!(metric::RELAY_LEADS, "engine" => self.engine).set(0.0);
            if let Err(error) = led {
                metrics::counter!(metric::RELAY_RESTARTS, "engine" => self.engine).increment(1);
                tracing::warn!(
                    engine = self.engine,
                    error = &error as &dyn std::error::Error,
                    "the relay begins anew"
                );
            }
            self.pause(RETRY_DELAY).await;
        }
    }

    /// Waits to be the one that relays, then relays until something fails.
    async fn lead(&self) -> Result<(), RelayError> {
        // Numbers may be told again, and deletions forgotten: no need to wait for
        // the disk here.
        let options = self
            .database
            .options(Role::Engine, SCHEMA)
            .options([("synchronous_commit", "off")]);
        let connecting = PgConnection::connect_with(&options);
        let mut conn = unless_silent(SILENCE, connecting).await?;
        while !self.take_lead(&mut conn).await? {
            self.pause(LEAD_INTERVAL).await;
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
        // This database may be another than the last term's, and its outbox old. What
        // is told again stands behind what it does not know, and its acknowledgement
        // would hide that.
        tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            adopted = self.recovery.adopt() => adopted?,
        }
        let bumping = sqlx::query_scalar!(
            r#"WITH bumped AS (
                   UPDATE engine.relay
                   SET epoch = (SELECT max(epoch) + 1 FROM engine.relay WHERE engine = $1)
                   WHERE engine = $1 RETURNING epoch
               ) SELECT max(epoch) AS "epoch!" FROM bumped"#,
            self.engine,
        )
        .fetch_one(&mut conn);
        let epoch = unless_silent(SILENCE, bumping).await?;
        // A new appender for each term: one that has failed stays failed.
        let appender = self.log.appender(AppenderConfig::without_timeout())?;
        metrics::gauge!(metric::RELAY_LEADS, "engine" => self.engine).set(1.0);
        tracing::info!(engine = self.engine, epoch, "relaying");
        self.relay(&mut conn, &appender, epoch).await
    }

    async fn take_lead(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let taking = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('compline relay ' || $1, 0)) AS "taken!""#,
            self.engine,
        )
        .fetch_one(conn);
        unless_silent(SILENCE, taking).await
    }

    async fn relay(
        &self,
        conn: &mut PgConnection,
        appender: &Appender,
        epoch: i64,
    ) -> Result<(), RelayError> {
        let mut acked = Acked::new();
        let mut next_round = Instant::now();
        let overdue = self.overdue();
        tokio::pin!(overdue);
        loop {
            tokio::time::sleep_until(next_round).await;
            next_round = Instant::now() + PACE;
            // Looked at before the outbox is: what is decided until the stop is told.
            let stopping = self.stop.is_cancelled();
            let began = Instant::now();
            let decided = self.forget_and_look(conn, epoch, &acked).await?;
            let telling = u64::try_from(decided.len()).unwrap_or(u64::MAX);
            if crash::is_off(Guard::OutboxUntilTold) {
                let rounds = ends_of(&decided);
                self.forget_and_look(conn, epoch, &rounds).await?;
            }
            // What is acknowledged is deleted with the next look, in one trip.
            acked = tokio::select! {
                told = tell(appender, decided) => told?,
                () = &mut overdue => return Ok(()),
            };
            if !acked.is_empty() {
                crash::point("told");
                metrics::counter!(metric::RELAYED, "engine" => self.engine).increment(telling);
                metrics::histogram!(metric::RELAY_SECONDS, "engine" => self.engine)
                    .record(began.elapsed().as_secs_f64());
                continue;
            }
            if stopping {
                return Ok(());
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.decided.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Some time after the stop.
    async fn overdue(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    }

    /// Deletes what is acknowledged, and reads what stands behind it: one statement,
    /// for each trip to the database is a wait of everything that was decided since.
    async fn forget_and_look(
        &self,
        conn: &mut PgConnection,
        epoch: i64,
        acked: &Acked,
    ) -> Result<Vec<Decided>, RelayError> {
        let mut topics = Vec::new();
        let mut partitions = Vec::new();
        let mut numbers = Vec::new();
        let mut offsets = Vec::new();
        for ((topic, partition), (number, offset)) in acked {
            topics.push(topic.as_str().to_owned());
            partitions.push(partition.0);
            numbers.push(*number);
            offsets.push(offset.0);
        }
        // All parts of the statement see the outbox as it was before: the last one
        // passes over what the one before it deletes.
        let rows = sqlx::query!(
            r#"WITH acked AS (
                   SELECT * FROM UNNEST($3::text[], $4::int[], $5::bigint[], $6::bigint[])
                        AS acked (topic, partition, number, acked_offset)
               ), moved AS (
                   UPDATE engine.relay SET acked_offset = acked.acked_offset FROM acked
                   WHERE relay.engine = $1 AND relay.epoch = $2
                     AND relay.topic = acked.topic AND relay.partition = acked.partition
                   RETURNING relay.topic, relay.partition, acked.number
               ), forgotten AS (
                   DELETE FROM engine.outbox USING moved
                   WHERE outbox.engine = $1 AND outbox.topic = moved.topic
                     AND outbox.partition = moved.partition AND outbox.number <= moved.number
               )
               SELECT relay.topic, relay.partition, relay.epoch AS "epoch!",
                      head.number AS "number?", head.key AS "key?", head.event AS "event?"
               FROM engine.relay LEFT JOIN acked USING (topic, partition)
               LEFT JOIN LATERAL (
                   SELECT number, key, event,
                          sum(octet_length(event)) OVER (ORDER BY number) - octet_length(event) AS before
                   FROM (SELECT number, key, event FROM engine.outbox
                         WHERE outbox.engine = $1 AND outbox.topic = relay.topic
                           AND outbox.partition = relay.partition
                           AND outbox.number > coalesce(acked.number, 0)
                         ORDER BY number LIMIT $7) first
               ) head ON head.before < $8
               WHERE relay.engine = $1
               ORDER BY relay.topic, relay.partition, head.number"#,
            self.engine,
            epoch,
            &topics,
            &partitions,
            &numbers,
            &offsets,
            ROUND_OUTPUTS,
            ROUND_BYTES,
        )
        .fetch_all(conn);
        let rows = unless_silent(SILENCE, rows).await?;
        if rows.iter().any(|row| row.epoch != epoch) {
            return Err(RelayError::Deposed {
                engine: self.engine,
            });
        }
        rows.into_iter()
            .filter_map(|row| Some((row.topic, row.partition, row.number?, row.key?, row.event?)))
            .map(|(topic, partition, number, key, event)| {
                Ok(Decided {
                    topic: topic.parse().map_err(|error| {
                        sqlx::Error::Decode(Box::<compline_event::catalogue::UnknownTopic>::new(
                            error,
                        ))
                    })?,
                    partition: Partition(partition),
                    number,
                    key: key.into(),
                    event: event.into(),
                })
            })
            .collect()
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

struct Decided {
    topic: Topic,
    partition: Partition,
    number: i64,
    key: Bytes,
    event: Bytes,
}

/// As if the log had acknowledged all of it: for the guard that is off.
fn ends_of(decided: &[Decided]) -> Acked {
    let end = |output: &Decided| {
        let place = (output.topic, output.partition);
        (place, (output.number, Offset(-1)))
    };
    decided.iter().map(end).collect()
}

/// Appends in the order given and waits for every acknowledgement.
async fn tell(appender: &Appender, decided: Vec<Decided>) -> Result<Acked, AppendError> {
    let mut deliveries = Vec::with_capacity(decided.len());
    for output in decided {
        let delivery = appender
            .enqueue_encoded(
                output.topic,
                Some(output.partition),
                output.key,
                output.event,
            )
            .await?;
        crash::point("told-some");
        // Dropped when the log has acknowledged.
        let span = follow(delivery.traceparent(), || append_span(output.topic));
        deliveries.push((output.number, delivery, span));
    }
    let mut acked = Acked::new();
    for (number, delivery, span) in deliveries {
        let RecordId {
            topic,
            partition,
            offset,
        } = delivery.await?;
        if let Some(span) = span {
            span.record("messaging.destination.partition.id", partition.0);
            span.record("messaging.kafka.offset", offset.0);
        }
        acked.insert((topic, partition), (number, offset));
    }
    Ok(acked)
}
