//! A restored folder that is looked at: its log, its database and its projectors, and
//! no door for anybody. Nothing is appended; what is folded is thrown away with it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use compline_activity::ActivityTrail;
use compline_ad_status::AdStatus;
use compline_event::{Partition, Topic};
use compline_eventlog::TopicSpec;
use compline_readmodel::{Database, Generation, Steward};
use compline_runtime::Shutdown;
use compline_tenancy::Tenancy;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Manifest, Tell};
use crate::{
    config::Settings,
    inspect::Inspector,
    process::Process,
    role::{ProjectionName, Rooms, broker, migrate},
    street::{Lock, Street},
    up::postgres,
};

/// When nothing has moved for this long, nothing will.
const STILL: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A folder that is open.
#[derive(Debug)]
pub struct Examined {
    rooms: Rooms,
    /// As its owner, who sees the rows of all tenants.
    database: Database,
    shutdown: Shutdown,
    running: JoinHandle<Result<()>>,
    _lock: Lock,
}

impl Examined {
    /// Opens `street`, which was restored from the backup of `manifest`.
    pub async fn open(
        street: &Street,
        mut settings: Settings,
        manifest: &Manifest,
    ) -> Result<Self> {
        let lock = street.lock()?;
        settings.broker.listen.set_port(0);
        settings.cluster.port = 0;
        settings.log.prefix.clone_from(&manifest.topic_prefix);
        let process = Process::new(Shutdown::new(), Duration::ZERO);
        let listening = broker::start(&settings.broker, street.log_folder(), &process).await?;
        settings.log.bootstrap = listening.bootstrap;
        let cluster = postgres::start(postgres::config(&settings, street)).await?;
        settings.postgres = postgres::settings(&cluster);
        postgres::watch(cluster, &process);
        let database = settings.postgres.database_as_owner()?;
        let rooms = Rooms::new(settings)?;
        let shutdown = process.shutdown().clone();
        let opened = start(&rooms, &process).await;
        let running = tokio::spawn(process.run());
        let examined = Self {
            rooms,
            database,
            shutdown,
            running,
            _lock: lock,
        };
        match opened {
            Ok(()) => Ok(examined),
            Err(error) => {
                examined.close().await?;
                Err(error)
            }
        }
    }

    /// Whether the log ends where the one did that was copied.
    pub async fn check_log(&self, manifest: &Manifest) -> Result<()> {
        for of in &manifest.log {
            let topic: Topic = of.topic.parse()?;
            let bounds = self
                .rooms
                .log
                .bounds(topic, Partition(of.partition))
                .await?;
            ensure!(
                bounds.end.0 == of.end,
                "{topic}/{} ends at {} and ended at {}",
                of.partition,
                bounds.end,
                of.end
            );
        }
        Ok(())
    }

    /// Folds the whole log into a second generation of `name`, until both stand at its
    /// end.
    pub async fn rebuild(
        &self,
        name: ProjectionName,
        tell: Tell<'_>,
    ) -> Result<(Steward, Generation)> {
        let mut steward = Steward::take(&self.database, name.as_str()).await?;
        let partitions_of = |topic| TopicSpec::of(topic).partitions;
        let generation = match name {
            ProjectionName::AdStatus => steward.rebuild::<AdStatus>(partitions_of).await,
            ProjectionName::Activity => steward.rebuild::<ActivityTrail>(partitions_of).await,
            ProjectionName::Tenancy => steward.rebuild::<Tenancy>(partitions_of).await,
        }?;
        self.folded(name, tell).await?;
        Ok((steward, generation))
    }

    async fn folded(&self, name: ProjectionName, tell: Tell<'_>) -> Result<()> {
        let mut inspector = Inspector::connect(&self.database).await?;
        let (mut least, mut moved) = (i64::MAX, Instant::now());
        loop {
            let mut behind = 0;
            for at in inspector.checkpoints().await? {
                if at.reader == name.as_str() {
                    let bounds = self.rooms.log.bounds(at.topic, at.partition).await?;
                    behind += bounds.end.0 - at.next_offset.0;
                }
            }
            tell(&format!("folding {}: {behind} events left", name.as_str()));
            if behind == 0 {
                return Ok(());
            }
            if behind < least {
                (least, moved) = (behind, Instant::now());
            }
            if moved.elapsed() > STILL {
                bail!(
                    "{} stands still, {behind} events behind the log",
                    name.as_str()
                );
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Stops everything in order.
    pub async fn close(self) -> Result<()> {
        self.shutdown.begin("it was looked at");
        self.running.await.context("the stores")?
    }
}

async fn start(rooms: &Rooms, process: &Process) -> Result<()> {
    migrate::roles(rooms).await?;
    migrate::schemas(rooms).await?;
    for name in ProjectionName::ALL {
        rooms.projector(name, process).await?;
    }
    Ok(())
}
