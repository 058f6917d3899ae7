//! Events into a read model.

use std::sync::Arc;

use anyhow::Result;
use compline_projector::{ProjectionFold, Projector, ProjectorConfig, Status};
use compline_readmodel::{
    Projection, Role,
    generation::{self, SCHEMA, schema_name},
};

use super::{Rooms, watch_partitions};
use crate::process::Process;

/// Projects the live generation. A group of its own for each, so that a rebuild
/// does not take the live one's partitions.
pub(super) async fn start<P: Projection>(rooms: &Rooms, process: &Process) -> Result<Status> {
    let settings = &rooms.settings.projector;
    let look_up = rooms.database.pool(Role::Projector, SCHEMA, 1);
    let generation = generation::live(&look_up, P::NAME).await?;
    look_up.close().await;

    let schema = schema_name(P::NAME, generation);
    let pool = rooms
        .database
        .pool(Role::Projector, &schema, settings.connections);
    let group = format!("projector:{}:g{generation}", P::NAME);
    let mut config = ProjectorConfig::new(group, generation);
    config.batch_records = settings.batch_records;
    config.batch_bytes = settings.batch_bytes;
    let fold = Arc::new(ProjectionFold::<P>::default());
    let projector = Projector::new(fold, rooms.log.clone(), pool, config);

    let name = format!("projector {}", P::NAME);
    let (status, check) = (projector.status(), process.health.register(name.clone()));
    let watched = status.clone();
    process.loops.spawn(format!("health of {name}"), |stop| {
        watch_partitions(watched, check, stop)
    });
    process.loops.spawn(name, |stop| projector.run(stop));
    Ok(status)
}
