//! Events into a read model.

use anyhow::Result;
use compline_projector::{Board, Generations, GenerationsConfig, ProjectorConfig};
use compline_readmodel::Projection;

use super::{
    Rooms,
    ready::{self, Look},
};
use crate::process::Process;

/// Projects every generation that stands, and those that are made while it runs.
pub(super) async fn start<P: Projection>(rooms: &Rooms, process: &Process) -> Result<Board> {
    let settings = &rooms.settings.projector;
    let mut projector = ProjectorConfig::new("", 0);
    projector.batch_records = settings.batch_records;
    projector.batch_bytes = settings.batch_bytes;
    let config = GenerationsConfig {
        connections: settings.connections,
        projector,
    };
    let (log, database) = (rooms.log.clone(), rooms.database.clone());
    let generations = Generations::<P>::open(log, database, config).await?;

    let name = format!("projector {}", P::NAME);
    let (board, check) = (generations.board(), process.health.register(name.clone()));
    let watched = board.clone();
    // Of the generation that is read; another one may take its time, but not stand still.
    let look = move || Look {
        stopped: watched.stopped(),
        ..watched.live().as_ref().map(Look::at).unwrap_or_default()
    };
    let ready_lag = settings.ready_lag;
    process
        .loops
        .spawn(format!("health of {name}"), move |stop| {
            ready::watch(look, ready_lag, check, stop)
        });
    process.loops.spawn(name, |stop| generations.run(stop));
    Ok(board)
}
