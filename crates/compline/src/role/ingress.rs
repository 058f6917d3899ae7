//! Webhooks in.

use anyhow::Result;
use compline_ingress::{Clock, Ingress};
use tokio::net::TcpListener;

use super::Rooms;
use crate::process::Process;

pub(super) fn start(rooms: &Rooms, listener: TcpListener, process: &Process) -> Result<()> {
    let config = rooms.settings.ingress.clone();
    let appender = rooms.log.appender(config.appender())?;
    let check = process.health.register("ingress");
    let ingress = Ingress::new(config, appender, Clock::system())?;
    process.doors.spawn("ingress", |stop| async move {
        check.ready();
        ingress.serve(listener, stop).await
    });
    Ok(())
}
