//! A read model that is rebuilt, promoted and dropped by an operator who tries again
//! when the database is away.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};
use compline_ad_status::AdStatus;
use compline_eventlog::TopicSpec;
use compline_readmodel::{
    Database, Generation, Projection as _, Steward, StewardError, steward::Promotion,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const PATIENCE: Duration = Duration::from_secs(180);
/// Of one try.
const WITHIN: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(200);

/// What one operator has done so far. Nothing of it need be there any more: the
/// database may have been restored since.
pub(super) struct Rebuild {
    database: Database,
    under_way: Option<JoinHandle<Result<()>>>,
    rebuilds: usize,
    promotes: usize,
}

impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rebuilds, {} promotes", self.rebuilds, self.promotes)
    }
}

impl Rebuild {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            under_way: None,
            rebuilds: 0,
            promotes: 0,
        }
    }

    pub(super) async fn begin(&mut self) -> Result<()> {
        self.rebuilds += 1;
        self.change(async |database| {
            let partitions_of = |topic| TopicSpec::of(topic).partitions;
            let mut steward = Steward::take(database, AdStatus::NAME).await?;
            steward.rebuild::<AdStatus>(partitions_of).await.map(drop)
        })
        .await
    }

    /// In the background, for whatever happens meanwhile.
    pub(super) async fn promote(&mut self) -> Result<()> {
        self.finish().await?;
        self.promotes += 1;
        let database = self.database.clone();
        self.under_way = Some(tokio::spawn(async move {
            retried(&database, async |database| {
                let mut steward = Steward::take(database, AdStatus::NAME).await?;
                // The answer of a try that failed may have been lost.
                let promotion = Promotion {
                    within: WITHIN,
                    ..Promotion::default()
                };
                match other(&mut steward, |live, other| other > live).await? {
                    Some(newer) => steward.promote(newer, &promotion).await.map(drop),
                    None => Ok(()),
                }
            })
            .await
        }));
        Ok(())
    }

    pub(super) async fn drop_former(&mut self) -> Result<()> {
        self.finish().await?;
        self.change(async |database| {
            let mut steward = Steward::take(database, AdStatus::NAME).await?;
            match other(&mut steward, |live, other| other < live).await? {
                Some(former) => steward.drop_generation(former).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// Waits for what is under way.
    pub(super) async fn finish(&mut self) -> Result<()> {
        match self.under_way.take() {
            Some(under_way) => under_way.await?,
            None => Ok(()),
        }
    }

    async fn change(
        &self,
        change: impl AsyncFn(&Database) -> Result<(), StewardError>,
    ) -> Result<()> {
        retried(&self.database, change).await
    }
}

async fn retried(
    database: &Database,
    change: impl AsyncFn(&Database) -> Result<(), StewardError>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match change(database).await {
            Ok(()) => return Ok(()),
            Err(error) => ensure!(Instant::now() < deadline, "{error:?}"),
        }
        sleep(AGAIN).await;
    }
}

/// A generation that stands beside the live one.
async fn other(
    steward: &mut Steward,
    wanted: impl Fn(Generation, Generation) -> bool,
) -> Result<Option<Generation>, StewardError> {
    let standing = steward.standing().await?;
    let live = standing.iter().find(|each| each.is_live);
    let live = live.map_or(0, |live| live.generation);
    let mut others = standing.iter().map(|each| each.generation);
    Ok(others.find(|other| wanted(live, *other)))
}
