//! Ours: a projector of a generation that is made for it.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use compline_ad_status::AdStatus;
use compline_eventlog::Log;
use compline_projector::{PartitionState, Projector, ProjectorConfig, ProjectorError, Status};
use compline_readmodel::{
    Projection as _, Role,
    generation::{self, Generation},
};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    connections,
    events::Events,
    plan,
    recording::{Recording, Transaction},
    settle,
};
use crate::house::OwnDatabase;

/// A projector of a generation.
pub(super) struct Running {
    fold: Arc<Recording<AdStatus>>,
    pool: PgPool,
    status: Status,
    stop: CancellationToken,
    task: AbortOnDropHandle<Result<(), ProjectorError>>,
}

impl Running {
    pub(super) async fn start(own: &OwnDatabase, log: &Log, number: Generation) -> Result<Self> {
        let plan = plan(AdStatus::NAME, number);
        generation::create(&own.database, &plan).await?;
        settle(own).await?;
        let pool = own
            .database
            .pool(Role::Projector, &plan.schema, connections());
        let fold = Arc::new(Recording::<AdStatus>::default());
        let mut config = ProjectorConfig::new(format!("benches-{number}"), number);
        config.consumer.session_timeout = Duration::from_secs(30);
        let projector = Projector::new(fold.clone(), log.clone(), pool.clone(), config);
        let status = projector.status();
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(projector.run(stop.clone())));
        Ok(Self {
            fold,
            pool,
            status,
            stop,
            task,
        })
    }

    pub(super) async fn wait_for_all(&self, events: &Events) -> Result<()> {
        let done =
            |(partition, next_offset): &(i32, i64)| events.end_of(*partition) == *next_offset;
        let all =
            self.wait_for(|states| states.len() == events.partitions() && states.iter().all(done));
        all.await.map(drop)
    }

    /// (partition, next offset) of those that run, once they are `enough`; an error
    /// when one stands still.
    pub(super) async fn wait_for(
        &self,
        enough: impl Fn(&[(i32, i64)]) -> bool,
    ) -> Result<Vec<(i32, i64)>> {
        loop {
            let mut running = Vec::new();
            for (_, partition, state) in self.status.partitions() {
                match state {
                    PartitionState::Running { next_offset } => {
                        running.push((partition.0, next_offset.0));
                    }
                    PartitionState::Claiming
                    | PartitionState::Held { .. }
                    | PartitionState::Waiting { .. } => {}
                    PartitionState::Retrying { reason } | PartitionState::Stopped { reason } => {
                        bail!("partition {partition} does not go on: {reason}")
                    }
                }
            }
            if enough(&running) {
                return Ok(running);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Which transactions there were.
    pub(super) async fn stop(self) -> Result<Vec<Transaction>> {
        self.stop.cancel();
        self.task.await??;
        self.pool.close().await;
        Ok(self.fold.transactions())
    }
}
