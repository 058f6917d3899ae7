//! A log, a database, and projectors that come and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Partition, Source, Stamp, Topic, ad_events::AdStatusChanged,
    envelope_proto,
};
use compline_eventlog::{Appender, AppenderConfig, Log, TopicSpec};
use compline_projector::{
    PartitionState, ProjectionFold, Projector, ProjectorConfig, ProjectorError, Status,
};
use compline_readmodel::{
    Database, Projection as _, Role,
    generation::{self, Plan, schema_name},
};
use compline_testkit::{Postgres, TestBroker, log, postgres, tenant};
use prost::Message as _;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::tally::Tally;

/// One partition is enough to break a promise in.
pub(crate) const PARTITION: Partition = Partition(0);

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Street {
    pub(crate) log: Log,
    pub(crate) postgres: Postgres,
    appender: Appender,
    pub(crate) broker: TestBroker,
}

pub(crate) struct Running {
    pub(crate) status: Status,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
}

impl Street {
    pub(crate) async fn open() -> Self {
        let (log, broker) = log().await;
        let postgres = postgres().await;
        let plan = Plan::first::<Tally>(|topic| TopicSpec::of(topic).partitions);
        generation::create(postgres.database(), &plan)
            .await
            .unwrap();
        let appender = log.appender(AppenderConfig::with_timeout()).unwrap();
        Self {
            log,
            postgres,
            appender,
            broker,
        }
    }

    /// Appends that `ad` has this status, as output `number` of an engine when one
    /// is given.
    pub(crate) async fn tell(&self, ad: &str, status: &str, number: Option<u64>) -> EventId {
        self.tell_in(PARTITION, ad, status, number).await
    }

    pub(crate) async fn tell_in(
        &self,
        partition: Partition,
        ad: &str,
        status: &str,
        number: Option<u64>,
    ) -> EventId {
        self.append(partition, ad, envelope(ad, status, number))
            .await
    }

    /// As `tell_in`, of something that was recorded before.
    pub(crate) async fn tell_late(
        &self,
        partition: Partition,
        ad: &str,
        number: u64,
        age: Duration,
    ) -> EventId {
        let mut envelope = envelope(ad, "late", Some(number));
        envelope.recorded_at -= age;
        self.append(partition, ad, envelope).await
    }

    async fn append(&self, partition: Partition, ad: &str, envelope: Envelope) -> EventId {
        let key = Bytes::from(format!("{}/{ad}", tenant(1)));
        self.appender
            .append(Topic::Ad, Some(partition), key, &envelope)
            .await
            .unwrap();
        envelope.event_id
    }

    /// As [`Street::tell`], in the event's next version.
    pub(crate) async fn tell_newer(&self, ad: &str, status: &str) {
        let mut raw =
            envelope_proto::Envelope::decode(envelope(ad, status, None).encode()).unwrap();
        raw.version += 1;
        let key = Bytes::from(format!("{}/{ad}", tenant(1)));
        let bytes = raw.encode_to_vec().into();
        let delivery = (self.appender)
            .enqueue_encoded(Topic::Ad, Some(PARTITION), key, bytes)
            .await;
        delivery.unwrap().await.unwrap();
    }

    pub(crate) fn start(&self, batch_records: usize) -> Running {
        self.start_in(self.postgres.database(), batch_records)
    }

    pub(crate) fn start_in(&self, database: &Database, batch_records: usize) -> Running {
        let projector = projector(&self.log, database, batch_records);
        let status = projector.status();
        let stop = CancellationToken::new();
        let task = tokio::spawn(projector.run(stop.clone()));
        Running { status, stop, task }
    }

    /// ad → how many events it had, and its statuses in order.
    pub(crate) async fn rows(&self) -> BTreeMap<String, (i64, String)> {
        let rows = sqlx::query("SELECT ad_id, events, statuses FROM tally_g1.tally")
            .fetch_all(&mut self.conn().await)
            .await
            .unwrap();
        rows.iter()
            .map(|row| (row.get(0), (row.get(1), row.get(2))))
            .collect()
    }

    /// Same epoch, earlier offset: as after a crash and a restart.
    pub(crate) async fn lose_all_rows(&self) {
        let lost = "WITH rows AS (DELETE FROM tally_g1.tally)
                    UPDATE compline.checkpoint SET next_offset = 0, last_event_id = NULL
                    WHERE topic = 'ad' AND partition = $1";
        sqlx::query(lost)
            .bind(PARTITION.0)
            .execute(&mut self.conn().await)
            .await
            .unwrap();
    }

    pub(crate) async fn conn(&self) -> PgConnection {
        self.postgres.superuser().await
    }

    pub(crate) async fn next_offset(&self) -> i64 {
        self.next_offset_of(PARTITION).await
    }

    pub(crate) async fn next_offset_of(&self, partition: Partition) -> i64 {
        sqlx::query_scalar(
            "SELECT next_offset FROM compline.checkpoint
             WHERE projection = 'tally' AND topic = 'ad' AND partition = $1",
        )
        .bind(partition.0)
        .fetch_one(&mut self.conn().await)
        .await
        .unwrap()
    }

    /// Waits until the checkpoint stands at `offset`.
    pub(crate) async fn reached(&self, offset: i64) {
        self.reached_in(PARTITION, offset).await;
    }

    pub(crate) async fn reached_in(&self, partition: Partition, offset: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let at = self.next_offset_of(partition).await;
            if at == offset {
                return;
            }
            assert!(Instant::now() < deadline, "{partition}: at {at} for ever");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Running {
    /// In order: batches in flight are finished.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// At once: whatever it was doing is dropped at its next await, as a crash
    /// would, and the group must find out by itself.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Waits until every partition of the topic is followed.
    pub(crate) async fn follows_all(&self) {
        let deadline = Instant::now() + PATIENCE;
        let all = TopicSpec::of(Topic::Ad).partitions as usize;
        loop {
            let states = self.status.partitions();
            let running = |(_, _, state): &(_, _, PartitionState)| {
                matches!(state, PartitionState::Running { .. })
            };
            if states.len() == all && states.iter().all(running) {
                return;
            }
            assert!(Instant::now() < deadline, "not all run: {states:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Why the partition stands still, once it does.
    pub(crate) async fn stopped(&self) -> String {
        self.stopped_in(PARTITION).await
    }

    pub(crate) async fn stopped_in(&self, partition: Partition) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let states = self.status.partitions();
            let state = states.iter().find(|(_, found, _)| *found == partition);
            if let Some((_, _, PartitionState::Stopped { reason })) = state {
                return reason.clone();
            }
            assert!(Instant::now() < deadline, "it does not stop: {state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn projector(
    log: &Log,
    database: &Database,
    batch_records: usize,
) -> Projector<ProjectionFold<Tally>> {
    let mut config = ProjectorConfig::new("tally", 1);
    config.batch_records = batch_records;
    let schema = schema_name(Tally::NAME, 1);
    let pool = database.pool(Role::Projector, &schema, 8);
    let fold = Arc::new(ProjectionFold::<Tally>::of(1));
    Projector::new(fold, log.clone(), pool, config)
}

fn envelope(ad: &str, status: &str, number: Option<u64>) -> Envelope {
    let now = OffsetDateTime::now_utc();
    Envelope {
        event_id: EventId::new(Uuid::new_v4()),
        tenant: Some(tenant(1)),
        occurred_at: now,
        recorded_at: now,
        source: Source::MetaWebhook,
        actor: String::new(),
        causation_id: None,
        correlation_id: None,
        stamp: number.map(|number| Stamp {
            producer: "ad".to_owned(),
            number,
        }),
        traceparent: String::new(),
        event: Event::AdStatusChanged(AdStatusChanged {
            ad_id: ad.to_owned(),
            new_status: status.to_owned(),
            ..Default::default()
        }),
    }
}
