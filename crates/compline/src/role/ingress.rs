//! Webhooks in.

use std::net::SocketAddr;

use anyhow::Result;
use compline_ingress::{Clock, Ingress};

use super::Rooms;
use crate::process::Process;

pub(super) async fn start(rooms: &Rooms, process: &Process) -> Result<SocketAddr> {
    let config = rooms.settings.ingress.clone();
    let appender = rooms.log.appender(config.appender())?;
    let listener = compline_runtime::bind("ingress", config.http.listen).await?;
    let address = listener.local_addr()?;
    let check = process.health.register("ingress");
    let ingress = Ingress::new(config, appender, Clock::system())?;
    process.doors.spawn("ingress", |stop| async move {
        check.ready();
        ingress.serve(listener, stop).await
    });
    Ok(address)
}
