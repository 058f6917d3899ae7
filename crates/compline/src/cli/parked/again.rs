//! Whose code applies a parked key again.

use anyhow::{Context as _, Result, bail};
use compline_activity::ActivityTrail;
use compline_ad::AdEngine;
use compline_ad_status::AdStatus;
use compline_engine::{Engine, EngineConfig, EngineRunner, checkpoint_name};
use compline_event::{Offset, RecordId};
use compline_eventlog::{Log, Record};
use compline_projector::{ProjectionFold, RedriveMode, Redriven, redrive};
use compline_readmodel::{
    Database, Place, Projection, Role, generation::schema_name, park::desk::ParkedKey,
};
use compline_tenancy::Tenancy;
use sqlx::{Connection as _, PgConnection};

pub(super) struct Hand {
    log: Log,
    /// Every role enters as the owner.
    database: Database,
    mode: RedriveMode,
}

impl Hand {
    pub(super) fn new(log: Log, database: Database, dry_run: bool) -> Self {
        let mode = match dry_run {
            true => RedriveMode::Try,
            false => RedriveMode::Apply,
        };
        Self {
            log,
            database,
            mode,
        }
    }

    pub(super) async fn redrive(&self, key: &ParkedKey) -> Result<Redriven> {
        match key.place.projection.as_str() {
            compline_ad_status::NAME => self.of_projection::<AdStatus>(key).await,
            compline_activity::NAME => self.of_projection::<ActivityTrail>(key).await,
            compline_tenancy::NAME => self.of_projection::<Tenancy>(key).await,
            name if name == checkpoint_name(AdEngine::NAME) => {
                let (log, database) = (self.log.clone(), self.database.clone());
                let engine = EngineRunner::new(AdEngine, log, database, &EngineConfig::default());
                Ok(engine.redrive(&key.place, &key.key, self.mode).await?)
            }
            other => bail!("this version knows nothing of {other}"),
        }
    }

    async fn of_projection<P: Projection>(&self, key: &ParkedKey) -> Result<Redriven> {
        let generation = key.place.generation;
        let schema = schema_name(P::NAME, generation);
        let options = self.database.options(Role::Owner, &schema);
        let mut conn = PgConnection::connect_with(&options)
            .await
            .context("the database")?;
        let fold = ProjectionFold::<P>::of(generation);
        Ok(redrive(&mut conn, &self.log, &fold, &key.place, &key.key, self.mode).await?)
    }
}

/// The records of a key as they stand in the log.
pub(super) async fn read(log: &Log, place: &Place, offsets: &[Offset]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for offset in offsets {
        let at = RecordId {
            topic: place.topic,
            partition: place.partition,
            offset: *offset,
        };
        let record = log.read_at(at).await?;
        records.push(record.with_context(|| format!("{at} is not in the log any more"))?);
    }
    Ok(records)
}
