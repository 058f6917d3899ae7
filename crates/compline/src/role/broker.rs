//! The embedded log.

mod measures;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use compline_broker::{Broker, Monitor};
use tokio_util::sync::CancellationToken;

use crate::{config::BrokerSettings, metric::counted::Counted, process::Process};

const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Where the embedded log listens.
#[derive(Debug, Clone)]
pub struct Listening {
    pub address: SocketAddr,
    /// A value for `bootstrap.servers`.
    pub bootstrap: String,
}

/// Opens the log in `data`, recovers it and serves.
pub async fn start(
    settings: &BrokerSettings,
    data: PathBuf,
    process: &Process,
) -> Result<Listening> {
    let check = process.health.register("broker");
    let broker = Broker::open(settings.of_broker(&data))
        .await
        .with_context(|| format!("the log in {}", data.display()))?;
    let listening = Listening {
        address: broker.local_addr(),
        bootstrap: broker.bootstrap(),
    };
    let monitor = broker.monitor();
    let counted = process.counted.clone();
    process
        .stores
        .spawn("broker's metrics", |stop| measure(monitor, counted, stop));
    process.stores.spawn("broker", |stop| async move {
        check.ready();
        broker.run(stop.cancelled_owned()).await
    });
    Ok(listening)
}

async fn measure(
    monitor: Monitor,
    counted: Counted,
    stop: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    let mut ticks = tokio::time::interval(MEASURE_EVERY);
    let mut shown = measures::Shown::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        measures::record(&monitor.stats(), &mut shown, &counted);
    }
}
