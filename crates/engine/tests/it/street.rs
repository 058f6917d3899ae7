//! A log, a database, and runners that come and go.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use compline_engine::{Engine as _, EngineConfig, EngineError, EngineRunner};
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, Source, Topic, account_events::AccountConnected,
    partition::partition_of,
};
use compline_eventlog::{Appender, AppenderConfig, Log, TopicSpec};
use compline_readmodel::{Database, generation};
use compline_testkit::{Postgres, TestBroker, log, postgres, tenant, verify};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::counting::Counting;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Street {
    pub(crate) log: Log,
    pub(crate) broker: TestBroker,
    pub(crate) postgres: Postgres,
    appender: Appender,
}

pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), EngineError>>,
}

impl Street {
    pub(crate) async fn open() -> Self {
        let (log, broker) = log().await;
        let postgres = empty_database().await;
        // The tests' own input must survive a broker that restarts.
        let appender = log.appender(AppenderConfig::without_timeout()).unwrap();
        Self {
            log,
            broker,
            postgres,
            appender,
        }
    }

    /// All that the database held is lost.
    pub(crate) async fn lose_database(&mut self) {
        self.postgres = empty_database().await;
    }

    pub(crate) async fn hear(&self, account: &str) {
        let now = OffsetDateTime::now_utc();
        let envelope = Envelope {
            event_id: EventId::new(Uuid::new_v4()),
            tenant: Some(tenant(1)),
            occurred_at: now,
            recorded_at: now,
            source: Source::User,
            actor: String::new(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event: Event::AccountConnected(AccountConnected {
                ad_account_id: account.to_owned(),
                ..Default::default()
            }),
        };
        let key = Bytes::from(format!("{}/{account}", tenant(1)));
        self.appender
            .append(Topic::Account, None, key, &envelope)
            .await
            .unwrap();
    }

    pub(crate) fn start(&self) -> Running {
        let runner = runner(&self.log, self.postgres.database());
        let stop = CancellationToken::new();
        let task = tokio::spawn(runner.run(stop.clone()));
        Running { stop, task }
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.postgres.superuser().await
    }

    /// Waits until `inputs` were decided over and all that followed is told.
    pub(crate) async fn told_all(&self, inputs: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (heard, waiting): (Option<i64>, i64) = sqlx::query_as(
                "SELECT (SELECT sum(inputs) FROM engine_counting.heard)::bigint,
                        (SELECT count(*) FROM engine.outbox)",
            )
            .fetch_one(&mut self.conn().await)
            .await
            .unwrap();
            if heard == Some(inputs) && waiting == 0 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "heard {heard:?} of {inputs}, {waiting} wait to be told"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many inputs were decided over, told or not.
    pub(crate) async fn decided(&self, inputs: i64) {
        let heard = "SELECT coalesce(sum(inputs), 0)::bigint FROM engine_counting.heard";
        self.until(heard, |heard| heard == inputs).await;
    }

    /// Nobody decides over the account's inputs until this is dropped.
    pub(crate) async fn hold(&self, account: &str) -> PgConnection {
        let mut conn = self.conn().await;
        let hold = "SELECT 1 FROM compline.checkpoint WHERE partition = $1 FOR UPDATE";
        sqlx::raw_sql("BEGIN").execute(&mut conn).await.unwrap();
        let held = sqlx::query(hold).bind(self.heard_on(account).0);
        held.execute(&mut conn).await.unwrap();
        conn
    }

    /// Accounts whose inputs stand on partitions of their own, and what is told of their
    /// left ads on one.
    pub(crate) fn apart(&self) -> [String; 3] {
        let mut found: Vec<String> = Vec::new();
        for account in (0..10_000).map(|number| format!("apart{number}")) {
            let left = |account: &str| self.partition_of(&format!("{account}-left"));
            let fits = |it: &String| {
                left(it) == left(&account) && self.heard_on(it) != self.heard_on(&account)
            };
            if found.iter().all(fits) {
                found.push(account);
            }
            if found.len() == 3 {
                break;
            }
        }
        found.try_into().unwrap()
    }

    /// Waits until more than `inputs` were decided over.
    pub(crate) async fn told_some(&self, inputs: i64) {
        let heard = "SELECT coalesce(sum(inputs), 0)::bigint FROM engine_counting.heard";
        self.until(heard, |heard| heard > inputs).await;
    }

    /// Waits until so many records are parked.
    pub(crate) async fn parked(&self, records: i64) {
        let parked = "SELECT count(*) FROM compline.parked_record";
        self.until(parked, |parked| parked == records).await;
    }

    async fn until(&self, query: &'static str, enough: impl Fn(i64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: i64 = sqlx::query_scalar(query)
                .fetch_one(&mut self.conn().await)
                .await
                .unwrap();
            if enough(found) {
                return;
            }
            assert!(Instant::now() < deadline, "{found} by {query}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where what is told of an ad stands.
    pub(crate) fn partition_of(&self, ad: &str) -> Partition {
        let key = format!("{}/{ad}", tenant(1));
        partition_of(key.as_bytes(), TopicSpec::of(Topic::Ad).partitions)
    }

    /// Where the inputs of an account stand.
    pub(crate) fn heard_on(&self, account: &str) -> Partition {
        let key = format!("{}/{account}", tenant(1));
        partition_of(key.as_bytes(), TopicSpec::of(Topic::Account).partitions)
    }

    /// ad → its statuses in log order, repeats left out; and how many there were.
    pub(crate) async fn told(&self) -> (BTreeMap<String, Vec<String>>, usize) {
        let told = verify::read(&self.log, Topic::Ad).await.unwrap();
        let mut statuses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in told.events {
            assert_eq!(
                event.envelope.stamp.as_ref().unwrap().producer,
                Counting::NAME
            );
            let Event::AdStatusChanged(change) = event.envelope.event else {
                panic!("only statuses are told");
            };
            statuses
                .entry(change.ad_id)
                .or_default()
                .push(change.new_status);
        }
        (statuses, told.repeats)
    }
}

pub(crate) fn runner(log: &Log, database: &Database) -> EngineRunner<Counting> {
    let config = EngineConfig {
        batch_records: 7,
        ..EngineConfig::default()
    };
    EngineRunner::new(Counting, log.clone(), database.clone(), &config)
}

async fn empty_database() -> Postgres {
    let postgres = postgres().await;
    let partitions = |topic| generation::partitions(topic, TopicSpec::of(topic).partitions);
    let starts = partitions(Topic::Account)
        .map(|(topic, partition)| (topic, partition, Offset(0)))
        .collect();
    compline_engine::migrate::<Counting>(postgres.database(), starts, partitions(Topic::Ad))
        .await
        .unwrap();
    postgres
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) fn kill(self) {
        self.task.abort();
    }
}
