//! Streets of the tests' own, in this process, and what can be asked of any.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use bytes::Bytes;
use compline::{
    client::Client,
    config::Settings,
    street::{RunFile, Street},
    up::{self, Running, Stand, Steps},
    webhook::{Answer, Poster, Sender},
};
use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, LogConfig};
use compline_ingress::sample::{META_APP_SECRET, STRIPE_SIGNING_SECRET};
use compline_readmodel::{Database, Role, generation::SCHEMA};
use compline_runtime::Shutdown;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const CATCH_UP: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(30);

/// A street that runs, and the ways into it.
pub(crate) struct House {
    pub(crate) at: RunFile,
    pub(crate) log: Log,
    /// As its owner, who sees the rows of all tenants.
    pub(crate) database: Database,
    poster: Poster,
    operator_key: String,
    shutdown: Shutdown,
    ended: JoinHandle<Result<()>>,
    folder: TempDir,
}

impl House {
    pub(crate) async fn open() -> Result<Self> {
        let folder = folder();
        let street = Street::at(folder.path().join("data"));
        let running = start(&street).await?;
        let at = running.run_file.clone();
        let ingress = format!("http://{}", at.addresses.ingress);
        Ok(Self {
            log: log_of(&at)?,
            database: as_owner(&at)?,
            poster: Poster::new(&ingress, ANSWER)?,
            operator_key: fs::read_to_string(street.operator_key_file())?,
            shutdown: running.shutdown(),
            ended: tokio::spawn(running.run()),
            at,
            folder,
        })
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.shutdown.begin("the test is over");
        self.ended.await?
    }

    /// Posts `body` as Meta would, to the byte; it must be acknowledged.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) {
        let answer = self.send(Sender::Meta, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Posts `body` well signed.
    pub(crate) async fn send(&self, sender: Sender, body: impl Into<Bytes>) -> Answer {
        let secret = match sender {
            Sender::Meta => META_APP_SECRET,
            Sender::Stripe => STRIPE_SIGNING_SECRET,
        };
        let answer = self.poster.post(sender, secret, body.into()).await;
        answer.unwrap()
    }

    /// The query and the command service, each with `key`.
    pub(crate) fn clients(&self, key: &str) -> (Client, Client) {
        let at = &self.at.addresses;
        let connect = |door| Client::connect(&format!("http://{door}"), key).unwrap();
        (connect(at.query), connect(at.command))
    }

    pub(crate) fn operator_key(&self) -> &str {
        self.operator_key.trim()
    }

    /// Where other processes find the street.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Waits until everything that was posted and commanded has come to its end:
    /// from here on, what is not there never comes.
    pub(crate) async fn caught_up(&self) {
        caught_up(&self.log, &self.database).await.unwrap();
    }

    /// Where every partition of every topic ends.
    pub(crate) async fn ends(&self) -> Vec<(Topic, Partition, Offset)> {
        let of = |topic| Log::partitions(topic).map(move |partition| (topic, partition));
        let places: Vec<_> = Topic::ALL.into_iter().flat_map(of).collect();
        self.log.ends(&places).await.unwrap()
    }
}

/// The defaults, on free ports.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::load_from(None, []).unwrap();
    for listen in [
        &mut settings.ingress.http.listen,
        &mut settings.query.grpc.listen,
        &mut settings.command.grpc.listen,
        &mut settings.admin.listen,
        &mut settings.broker.listen,
    ] {
        listen.set_port(0);
    }
    settings.cluster.port = 0;
    settings
}

pub(crate) async fn start(street: &Street) -> Result<Running> {
    start_on(street, Stand::Embedded).await
}

pub(crate) async fn start_on(street: &Street, stand: Stand) -> Result<Running> {
    up::start(
        street,
        stand,
        settings(),
        Shutdown::new(),
        None,
        &Steps::Silent,
    )
    .await
}

/// A folder that PostgreSQL's user may pass, when we are root.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

pub(crate) fn log_of(running: &RunFile) -> Result<Log> {
    let mut config = LogConfig::new(running.addresses.kafka.clone());
    config.prefix.clone_from(&running.topic_prefix);
    Ok(Log::new(config)?)
}

/// Every role's entrance leads to the owner, who sees all rows.
pub(crate) fn as_owner(running: &RunFile) -> Result<Database> {
    let options: PgConnectOptions = running.database.url.parse()?;
    let options = options
        .username("compline_owner")
        .password(&running.database.owner_password);
    Ok(Database::new(move |_| options.clone()))
}

/// Waits until every checkpoint stands at the log's end and nothing waits to be
/// told. The checkpoints are read first: what an engine had told by then stands
/// below the ends that are read last.
pub(crate) async fn caught_up(log: &Log, database: &Database) -> Result<()> {
    let pool = database.pool(Role::Owner, SCHEMA, 1);
    let deadline = Instant::now() + CATCH_UP;
    loop {
        let checkpoints: Vec<(String, i32, i64)> = sqlx::query_as(
            "SELECT topic, partition, min(next_offset) FROM compline.checkpoint
             GROUP BY topic, partition ORDER BY topic, partition",
        )
        .fetch_all(&pool)
        .await?;
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM engine.outbox")
            .fetch_one(&pool)
            .await?;
        let mut places = Vec::new();
        for (topic, partition, _) in &checkpoints {
            places.push((topic.parse()?, Partition(*partition)));
        }
        let ends = log.ends(&places).await?;
        let mut behind = waiting;
        for ((topic, partition, end), (_, _, next_offset)) in ends.iter().zip(&checkpoints) {
            ensure!(*next_offset <= end.0, "{topic}/{partition} ends before");
            behind += end.0 - next_offset;
        }
        if behind == 0 && !checkpoints.is_empty() {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{behind} records behind after {CATCH_UP:?}"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !reached().await {
        assert!(Instant::now() < deadline, "{what} took too long");
        sleep(Duration::from_millis(50)).await;
    }
}
