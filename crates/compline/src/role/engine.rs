//! Events in, events out.

use compline_ad::AdEngine;
use compline_engine::{EngineConfig, EngineRunner};
use compline_projector::Status;

use super::{
    Rooms,
    ready::{self, Look},
};
use crate::process::Process;

pub(super) fn start(rooms: &Rooms, process: &Process) -> Status {
    compline_ad::metric::register();
    let config = EngineConfig {
        max_connections: rooms.settings.engine.connections,
        batch_records: rooms.settings.engine.batch_records,
        batch_bytes: rooms.settings.engine.batch_bytes,
    };
    let (log, database) = (rooms.log.clone(), rooms.database.clone());
    let runner = EngineRunner::new(AdEngine, log, database, &config);
    let (status, check) = (runner.status(), process.health.register("engine ad"));
    let watched = status.clone();
    let look = move || Look::at(&watched);
    let ready_lag = rooms.settings.engine.ready_lag;
    process.loops.spawn("health of engine ad", |stop| {
        ready::watch(look, ready_lag, check, stop)
    });
    process.loops.spawn("engine ad", |stop| runner.run(stop));
    status
}
