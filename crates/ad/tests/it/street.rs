//! The engine on a real log and a real Postgres, with its frame around it.

use std::{collections::BTreeMap, time::Duration as Wait};

use bytes::Bytes;
use compline_ad::AdEngine;
use compline_engine::{Engine as _, EngineConfig, EngineError, EngineRunner};
use compline_event::{
    EventId, Offset, Partition, Recorded, TenantId, Topic, partition::partition_of,
};
use compline_eventlog::{Appender, AppenderConfig, Log, TopicSpec};
use compline_projector::{PartitionState, Status};
use compline_testkit::{Postgres, TestBroker, log, postgres, verify};
use sqlx::{AssertSqlSafe, PgConnection};
use time::{Duration, OffsetDateTime};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::world::START;

mod lost;
mod order;

const PATIENCE: Wait = Wait::from_secs(60);

struct Street {
    log: Log,
    postgres: Postgres,
    appender: Appender,
    _broker: TestBroker,
}

struct Running {
    status: Status,
    stop: CancellationToken,
    task: JoinHandle<Result<(), EngineError>>,
}

impl Street {
    async fn open() -> Self {
        let (log, broker) = log().await;
        let appender = log.appender(AppenderConfig::without_timeout()).unwrap();
        Self {
            log,
            postgres: empty_database().await,
            appender,
            _broker: broker,
        }
    }

    fn start(&self) -> Running {
        let (log, database) = (self.log.clone(), self.postgres.database().clone());
        let runner = EngineRunner::new(AdEngine, log, database, &EngineConfig::default());
        let (status, stop) = (runner.status(), CancellationToken::new());
        let task = tokio::spawn(runner.run(stop.clone()));
        Running { status, stop, task }
    }

    /// Appends what [`crate::world`] made, of an account.
    async fn append(&self, account: &str, input: Recorded) {
        let key = match input.envelope.tenant {
            Some(tenant) => key_of(tenant, account),
            None => account.to_owned(),
        };
        self.appender
            .append(input.at.topic, None, Bytes::from(key), &input.envelope)
            .await
            .unwrap();
    }

    async fn execute(&self, statement: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(statement.into()))
            .execute(&mut self.conn().await)
            .await
            .unwrap();
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&mut self.conn().await)
            .await
            .unwrap()
    }

    async fn until(&self, query: &'static str, expected: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.count(query).await;
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{found} by {query}");
            tokio::time::sleep(Wait::from_millis(20)).await;
        }
    }

    /// Waits until the engine has read all its inputs, and told what followed.
    async fn settled(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ends = self.inputs_end().await;
            let read = self
                .count(
                    "SELECT sum(next_offset)::bigint FROM compline.checkpoint
                     WHERE projection = 'engine:ad'",
                )
                .await;
            if read == ends && self.count("SELECT count(*) FROM engine.outbox").await == 0 {
                // Its own outputs may be its inputs.
                if self.inputs_end().await == ends {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "{read} of {ends} are read");
            tokio::time::sleep(Wait::from_millis(20)).await;
        }
    }

    async fn inputs_end(&self) -> i64 {
        let inputs: Vec<_> = AdEngine::INPUTS
            .iter()
            .flat_map(|topic| Log::partitions(*topic).map(|partition| (*topic, partition)))
            .collect();
        let ends = self.log.ends(&inputs).await.unwrap();
        ends.iter().map(|(_, _, end)| end.0).sum()
    }

    /// All outputs by their ids: whose, and of which type. None twice, no number
    /// missing.
    async fn told(&self) -> BTreeMap<EventId, (TenantId, &'static str)> {
        let mut told = BTreeMap::new();
        for topic in AdEngine::OUTPUTS {
            let read = verify::read(&self.log, *topic).await.unwrap();
            assert_eq!(read.repeats, 0, "{topic}");
            let own = read.events.into_iter().map(|event| event.envelope);
            told.extend(own.filter(|own| own.stamp.is_some()).map(|own| {
                let tenant = own.require_tenant().unwrap();
                (own.event_id, (tenant, own.event.type_name()))
            }));
        }
        told
    }

    /// How often each tenant was told of an ad's status.
    async fn statuses_told(&self) -> BTreeMap<TenantId, usize> {
        let mut statuses = BTreeMap::new();
        for (tenant, event) in self.told().await.into_values() {
            if event == "AdStatusChanged" {
                *statuses.entry(tenant).or_default() += 1;
            }
        }
        statuses
    }

    async fn conn(&self) -> PgConnection {
        self.postgres.superuser().await
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(Wait::from_secs(10), self.task);
        stopped.await.expect("it stops").unwrap().unwrap();
    }

    /// Waits until a partition stands still, and says why.
    async fn stands_still(&self, why: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.status.stopped().is_some_and(|it| it.contains(why)) {
            let states = self.status.partitions();
            assert!(
                Instant::now() < deadline,
                "nothing stands still: {states:?}"
            );
            tokio::time::sleep(Wait::from_millis(20)).await;
        }
    }

    /// Waits until a partition of `topic` says why it does not go on.
    async fn waits(&self, topic: Topic) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let states = self.status.partitions();
            let waiting = states.iter().find_map(|(at, _, state)| match state {
                PartitionState::Waiting { reason } if *at == topic => Some(reason.clone()),
                _ => None,
            });
            if let Some(reason) = waiting {
                return reason;
            }
            assert!(Instant::now() < deadline, "nothing waits: {states:?}");
            tokio::time::sleep(Wait::from_millis(20)).await;
        }
    }
}

async fn empty_database() -> Postgres {
    let postgres = postgres().await;
    let places = |topics: &'static [Topic]| {
        topics
            .iter()
            .flat_map(|topic| Log::partitions(*topic).map(|partition| (*topic, partition)))
    };
    let starts = places(AdEngine::INPUTS).map(|(topic, partition)| (topic, partition, Offset(0)));
    compline_engine::migrate::<AdEngine>(
        postgres.database(),
        starts.collect(),
        places(AdEngine::OUTPUTS),
    )
    .await
    .unwrap();
    postgres
}

fn key_of(tenant: TenantId, account: &str) -> String {
    format!("{tenant}/{account}")
}

fn place_of(topic: Topic, key: &str) -> (Topic, Partition) {
    let partition = partition_of(key.as_bytes(), TopicSpec::of(topic).partitions);
    (topic, partition)
}

/// This many hours ago, in the records' own clock.
fn ago(hours: i64) -> Duration {
    OffsetDateTime::now_utc() - START - Duration::hours(hours)
}

/// A body of so many changes that all say the same status.
fn thousands(account: &str, body: i64) -> String {
    let changes: Vec<String> = (0..1_000)
        .map(|n| {
            format!(
                r#"{{"field":"ad_status","value":{{"ad_id":"9","status":"ACTIVE","n":"{body}.{n}"}}}}"#
            )
        })
        .collect();
    crate::world::body(
        "ad_account",
        account,
        crate::world::T + body,
        &changes.join(","),
    )
}
