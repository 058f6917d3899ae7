//! Flask under gunicorn, which checks the signature and hands the body to Celery: what such
//! a product is often built on, under the same load as our door.
//!
//! Acknowledged, ours is on disk. Redis keeps what it is told in memory and writes it down
//! now and then, so there is a second row in which it syncs first, too.

mod queue;

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use compline_ingress::sample;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::process::Peer;
use crate::{
    Setting,
    house::{self, OwnLog},
    log::free_port,
    measure::processor_seconds,
    report::{Goal, Row},
    script, street,
    webhook::{self, Round},
};
use queue::{Durability, Queue};

/// As many as there are processors, here two: with gunicorn's own advice, twice as many and
/// one, it fell further behind ours, perhaps since load client and Redis want them as well.
const WORKERS: &str = "2";
/// A request holds one; a connection that waits for its next holds none.
const THREADS: &str = "16";

pub(crate) async fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let programs = script::folder_from("peers/flask/install", &[]).await?;
    let mut rows = Vec::new();
    for durability in [Durability::Default, Durability::Synced] {
        let folder = house::folder(&setting.folder)?;
        rows.push(beside(setting, &programs, &folder, durability).await?);
    }
    Ok(rows)
}

async fn beside(
    setting: &Setting,
    programs: &Path,
    folder: &TempDir,
    durability: Durability,
) -> Result<Row> {
    let own = OwnLog::open(folder).await?;
    let stop = CancellationToken::new();
    let (ours, listener) = street::listen().await?;
    let ingress = street::ingress(&own.log)?;
    let _ours = AbortOnDropHandle::new(tokio::spawn(ingress.serve(listener, stop.clone())));
    let mut site = Site::start(programs, folder.path(), durability).await?;

    let warm_up = Duration::from_secs(setting.choose(2, 1));
    webhook::round(ours, warm_up, processor_seconds).await?;
    let handled_per_second = site.warm_up(programs, folder.path(), warm_up).await?;
    let length = Duration::from_secs(setting.choose(5, 2));
    let mut rounds = Vec::new();
    for number in 0..setting.choose(8, 2) {
        eprintln!("flask, {}: round {}", durability.as_str(), number + 1);
        // Who begins takes turns as well.
        let pair = if number % 2 == 0 {
            let ours = webhook::round(ours, length, processor_seconds).await?;
            (ours, site.round(length).await?)
        } else {
            let site = site.round(length).await?;
            (webhook::round(ours, length, processor_seconds).await?, site)
        };
        rounds.push(pair);
    }
    stop.cancel();
    site.stop().await?;
    own.close().await?;
    let mut notes = webhook::notes(&rounds, "the peer");
    notes.push(format!(
        "gunicorn with {WORKERS} workers of {THREADS} threads; every request that was answered \
         stood in the queue; nobody takes from it meanwhile, nor from ours"
    ));
    notes.push(format!(
        "beforehand, Celery's worker took what was enqueued, each task once, {handled_per_second:.0} a \
         second"
    ));
    Ok(Row {
        path: match durability {
            Durability::Default => "signed webhook → acknowledged; Redis does not sync",
            Durability::Synced => "signed webhook → acknowledged; Redis syncs before it answers",
        },
        limit: "Flask 3.1.3 under gunicorn 27.0.1, enqueueing with Celery 5.7.0 on Redis",
        findings: webhook::findings(&rounds, Goal::RatioAtLeast(1.0), Goal::RatioAtMost(1.0)),
        notes,
    })
}

/// gunicorn and its queue.
struct Site {
    queue: Queue,
    gunicorn: Peer,
    address: SocketAddr,
}

impl Site {
    async fn start(programs: &Path, folder: &Path, durability: Durability) -> Result<Self> {
        let queue = Queue::start(programs, folder, durability).await?;
        let port = free_port()?;
        let log = folder.join("gunicorn.log");
        let mut gunicorn = Peer::start(&programs.join("bin/gunicorn"), log, |gunicorn| {
            gunicorn
                .args(["--worker-class", "gthread", "--workers", WORKERS])
                .args(["--threads", THREADS, "--keep-alive", "75"])
                .args(["--bind", &format!("127.0.0.1:{port}"), "webhooks:app"])
                .current_dir(script::path("peers/flask"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("APP_SECRET", sample::META_APP_SECRET)
                .env("BROKER", queue.url())
                .env("THREADS", THREADS)
        })?;
        gunicorn.listens(port).await?;
        Ok(Self {
            queue,
            gunicorn,
            address: ([127, 0, 0, 1], port).into(),
        })
    }

    /// Shows as well that what is enqueued is taken, once each: tasks a second.
    async fn warm_up(&mut self, programs: &Path, folder: &Path, length: Duration) -> Result<f64> {
        let told = self.flood(length).await?.latency.count;
        self.queue.holds(told).await?;
        let log = folder.join("celery.log");
        let worker = Peer::start(&programs.join("bin/celery"), log, |celery| {
            celery
                .args(["--app", "webhooks:queue", "worker", "--loglevel", "WARNING"])
                .args([
                    "--without-gossip",
                    "--without-mingle",
                    "--without-heartbeat",
                ])
                .current_dir(script::path("peers/flask"))
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("APP_SECRET", sample::META_APP_SECRET)
                .env("BROKER", self.queue.url())
                .env("THREADS", THREADS)
        })?;
        let per_second = self.queue.handled(told).await;
        let per_second = per_second.with_context(|| worker.last_words())?;
        worker.stop().await?;
        self.queue.clear().await?;
        Ok(per_second)
    }

    async fn round(&mut self, length: Duration) -> Result<Round> {
        let round = self.flood(length).await?;
        self.queue.holds(round.latency.count).await?;
        self.queue.clear().await?;
        Ok(round)
    }

    async fn flood(&mut self, length: Duration) -> Result<Round> {
        let processor = || self.gunicorn.processor_seconds() + self.queue.processor_seconds();
        let round = webhook::round(self.address, length, processor).await;
        let round = round.with_context(|| self.gunicorn.last_words())?;
        ensure!(round.latency.count > 0, "nothing was answered");
        Ok(round)
    }

    async fn stop(self) -> Result<()> {
        self.gunicorn.stop().await?;
        self.queue.stop().await
    }
}
