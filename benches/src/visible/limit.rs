//! What must reach the disk, one after another, and nothing else: the webhook to
//! the log, a decision to Postgres, the decision to the log.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Partition, Source, Topic, ad_events::AdStatusChanged,
    webhook_events::WebhookReceived,
};
use compline_eventlog::{Appender, AppenderConfig, Log};
use sqlx::{PgPool, postgres::PgPoolOptions};
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    ads::Ad,
    client::BODY_BYTES_ABOUT,
    house::{OwnDatabase, partitions_of},
    measure::{Latencies, Summary},
    pace,
};

/// As many as the engine has input partitions to commit for.
const COMMITTERS: usize = 6;

pub(super) struct Limit {
    pool: PgPool,
    street: Arc<Durable>,
    _committers: Vec<AbortOnDropHandle<()>>,
}

struct Durable {
    first: Appender,
    second: Appender,
    commits: mpsc::UnboundedSender<Commit>,
}

/// A row to commit, and who waits for it.
struct Commit {
    row: Vec<u8>,
    done: oneshot::Sender<()>,
}

impl Limit {
    pub(super) async fn new(log: &Log, own: &OwnDatabase) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(COMMITTERS as u32)
            .connect_with(
                own.superuser_options()
                    .options([("synchronous_commit", "on")]),
            )
            .await?;
        sqlx::raw_sql(
            "CREATE TABLE decided (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event bytea)",
        )
        .execute(&pool)
        .await?;
        let (commits, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(AsyncMutex::new(waiting));
        let committer = |_| {
            let task = commit_all(pool.clone(), waiting.clone());
            AbortOnDropHandle::new(tokio::spawn(task))
        };
        Ok(Self {
            _committers: (0..COMMITTERS).map(committer).collect(),
            street: Arc::new(Durable {
                first: log.appender(AppenderConfig::with_timeout())?,
                second: log.appender(AppenderConfig::without_timeout())?,
                commits,
            }),
            pool,
        })
    }

    pub(super) async fn write(&self, per_second: u32, length: Duration) -> Result<Summary> {
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let mut writing = JoinSet::new();
        pace::open_loop(per_second, length, |number, due| {
            let (street, latencies) = (self.street.clone(), latencies.clone());
            writing.spawn(async move {
                street.write(number, OffsetDateTime::now_utc()).await?;
                let latency = due.elapsed();
                latencies.lock().expect("no holder panics").add(latency);
                anyhow::Ok(())
            });
        })
        .await;
        while let Some(written) = writing.join_next().await {
            written??;
        }
        let mut latencies = latencies.lock().expect("no holder panics");
        Ok(std::mem::take(&mut *latencies).summary())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Durable {
    async fn write(&self, number: u64, now: OffsetDateTime) -> Result<()> {
        let ad = Ad::nth(usize::try_from(number)?);
        let webhook = Event::WebhookReceived(WebhookReceived {
            body: vec![b'x'; BODY_BYTES_ABOUT].into(),
            headers: Vec::new(),
            remote_address: String::new(),
        });
        self.append(&self.first, number, &envelope(webhook, now))
            .await?;

        let decided = envelope(
            Event::AdStatusChanged(AdStatusChanged {
                ad_account_id: ad.account,
                ad_id: ad.ad_id,
                new_status: "PAUSED".to_owned(),
                ..Default::default()
            }),
            now,
        );
        let (done, committed) = oneshot::channel();
        let row = decided.encode().to_vec();
        self.commits
            .send(Commit { row, done })
            .ok()
            .context("the committers are gone")?;
        committed.await.context("a commit failed")?;

        self.append(&self.second, number, &decided).await
    }

    /// To a topic that nobody reads here: this is not the engine's work.
    async fn append(&self, to: &Appender, number: u64, envelope: &Envelope) -> Result<()> {
        let partitions = u64::from(partitions_of(Topic::WebhookStripe));
        let partition = Partition(i32::try_from(number % partitions)?);
        to.append(
            Topic::WebhookStripe,
            Some(partition),
            Bytes::new(),
            envelope,
        )
        .await?;
        Ok(())
    }
}

/// Commits what has gathered while others commit, in one transaction.
async fn commit_all(pool: PgPool, waiting: Arc<AsyncMutex<mpsc::UnboundedReceiver<Commit>>>) {
    let mut commits = Vec::new();
    loop {
        if waiting.lock().await.recv_many(&mut commits, 1_000).await == 0 {
            return;
        }
        let (rows, done): (Vec<_>, Vec<_>) = commits
            .drain(..)
            .map(|commit| (commit.row, commit.done))
            .unzip();
        let written = sqlx::query("INSERT INTO decided (event) SELECT UNNEST($1::bytea[])")
            .bind(&rows)
            .execute(&pool)
            .await;
        match written {
            Ok(_) => {
                for done in done {
                    let _ = done.send(());
                }
            }
            // Those who wait see their senders dropped.
            Err(error) => eprintln!("visible: a commit of the limit failed: {error}"),
        }
    }
}

fn envelope(event: Event, now: OffsetDateTime) -> Envelope {
    Envelope {
        event_id: EventId::new(Uuid::new_v4()),
        tenant: None,
        occurred_at: now,
        recorded_at: now,
        source: Source::MetaWebhook,
        actor: String::new(),
        causation_id: None,
        correlation_id: None,
        stamp: None,
        traceparent: String::new(),
        event,
    }
}
