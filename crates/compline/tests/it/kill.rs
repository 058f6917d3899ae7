//! kill -9 of the whole street at random moments, under load; then a verifier that
//! shares neither loop nor fences nor outbox with the product folds the log anew
//! and compares every row. Nothing acknowledged may be missing, nothing doubled.
//!
//! `KILL_TIMES` says how often; `dev/kill` runs the long form.

mod nodes;

use std::{
    collections::HashSet,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline::{
    client::Target,
    simulate::{
        audience::Audience,
        generator::{Delivery, Life, Plan},
    },
    street::{Found, RunFile, Street},
    webhook::{Poster, Sender},
};
use compline_ad::AdEngine;
use compline_event::{Event, Topic};
use compline_testkit::verify;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::house::{as_owner, caught_up, log_of};

const KILLS: u32 = 3;
const ACCOUNTS: usize = 4;
const TENANTS: usize = 2;

type BodyHash = [u8; 32];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_is_doubled() -> Result<()> {
    let (kills, seed) = told()?;
    let mut rng = StdRng::seed_from_u64(seed);

    let folder = tempfile::Builder::new()
        .prefix("compline-kill-")
        .tempdir()?;
    let ports = Ports::free(None)?;
    let mut victim = Victim::start(folder.path(), &ports)?;
    let running = victim.ready().await?;
    let accounts = connect_accounts(folder.path(), seed).await?;

    let load = Load::start(&running, accounts, seed)?;
    for kill in 1..=kills {
        // Mostly in full work, sometimes while it is starting.
        let while_starting = kill > 1 && rng.random_bool(0.25);
        if !while_starting {
            victim.ready().await?;
        }
        sleep(Duration::from_millis(rng.random_range(100..2_500))).await;
        victim.kill()?;
        eprintln!(
            "kill {kill} of {kills}{}",
            if while_starting {
                ", while starting"
            } else {
                ""
            }
        );
        victim = Victim::start(folder.path(), &ports)?;
    }
    let running = victim.ready().await?;
    let acknowledged = load.finish().await?;
    ensure!(!acknowledged.is_empty(), "the load was acknowledged at all");

    verify_street(&running, &acknowledged).await?;
    victim.stop().await
}

/// How many kills, and the seed of their moments.
fn told() -> Result<(u32, u64)> {
    let kills = std::env::var("KILL_TIMES").map_or(Ok(KILLS), |text| text.parse())?;
    let seed =
        std::env::var("KILL_SEED").map_or_else(|_| Ok(rand::random()), |text| text.parse())?;
    eprintln!("{kills} kills, seed {seed} (KILL_TIMES, KILL_SEED)");
    Ok((kills, seed))
}

/// Everything that must hold once the readers have caught up.
async fn verify_street(running: &RunFile, acknowledged: &HashSet<BodyHash>) -> Result<()> {
    let log = log_of(running)?;
    let database = as_owner(running)?;
    caught_up(&log, &database).await?;

    let mut kept = HashSet::new();
    for event in verify::read(&log, Topic::WebhookMeta).await?.events {
        if let Event::WebhookReceived(webhook) = event.envelope.event {
            kept.insert(hash(&webhook.body));
        }
    }
    let lost = acknowledged.difference(&kept).count();
    ensure!(lost == 0, "{lost} acknowledged webhooks are not in the log");

    let outputs = verify::engine(&log, &AdEngine, Topic::Account).await?;
    let ads = verify::projection::<compline_ad_status::AdStatus>(&log, &database, &[]).await?;
    let trail =
        verify::projection::<compline_activity::ActivityTrail>(&log, &database, &[]).await?;
    let tenancy = verify::projection::<compline_tenancy::Tenancy>(&log, &database, &[]).await?;
    let repeats = verify::read(&log, Topic::Ad).await?.repeats;
    eprintln!(
        "{} webhooks acknowledged, 0 lost; {outputs} outputs and {} rows compared, 0 lost, \
         0 doubled; {repeats} outputs were told twice and taken once",
        acknowledged.len(),
        ads + trail + tenancy,
    );
    Ok(())
}

fn hash(body: &[u8]) -> BodyHash {
    Sha256::digest(body).into()
}

async fn connect_accounts(folder: &Path, seed: u64) -> Result<Vec<String>> {
    let accounts: Vec<String> = (0..ACCOUNTS).map(|index| format!("71{index}000")).collect();
    let target = Target {
        data: folder.join("data"),
        config: None,
        query_url: None,
        command_url: None,
        key_file: None,
    };
    let audience = Audience::gather(&target, accounts, TENANTS, seed).await?;
    Ok(audience.accounts)
}

/// Posts a life, lane by lane, each delivery until it is acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    lanes: JoinSet<HashSet<BodyHash>>,
}

impl Load {
    fn start(running: &RunFile, accounts: Vec<String>, seed: u64) -> Result<Self> {
        let url = format!("http://{}", running.addresses.ingress);
        let poster = Poster::new(&url, Duration::from_secs(10))?;
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut lanes = JoinSet::new();
        let mut doors = Vec::new();
        for _ in 0..accounts.len() + 1 {
            let (door, deliveries) = mpsc::channel(8);
            doors.push(door);
            lanes.spawn(lane(poster.clone(), deliveries, acknowledged.clone()));
        }
        let life = Life::new(Plan {
            seed,
            accounts,
            ads: 400,
            first_ad: 23_849_000_000_000,
            begins_at: 1_790_000_000,
            rate: 500.0,
        });
        let stopped = stop.clone();
        tokio::spawn(async move {
            for delivery in life {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let lane = delivery.lane % doors.len();
                if doors[lane].send(delivery).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            stop,
            acknowledged,
            lanes,
        })
    }

    /// Stops when what is on its way has been acknowledged.
    async fn finish(mut self) -> Result<HashSet<BodyHash>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = HashSet::new();
        while let Some(lane) = self.lanes.join_next().await {
            acknowledged.extend(lane?);
        }
        Ok(acknowledged)
    }
}

async fn lane(
    poster: Poster,
    mut deliveries: mpsc::Receiver<Delivery>,
    count: Arc<AtomicU64>,
) -> HashSet<BodyHash> {
    let mut acknowledged = HashSet::new();
    while let Some(delivery) = deliveries.recv().await {
        loop {
            let answer = poster
                .post(
                    Sender::Meta,
                    compline_ingress::sample::META_APP_SECRET,
                    delivery.body.clone(),
                )
                .await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                acknowledged.insert(hash(&delivery.body));
                count.fetch_add(1, Ordering::Relaxed);
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        // A steady load rather than a race: both cores have other work as well.
        sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}

/// Options of `up` that stay the same over all restarts.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    /// Free ones, on a log of the street's own or on a cluster.
    fn free(kafka: Option<&str>) -> Result<Self> {
        let options = [
            "--ingress-port",
            "--query-port",
            "--command-port",
            "--admin-port",
            "--postgres-port",
            "--kafka-port",
        ];
        // All are held until all are drawn, or one might be drawn twice.
        let listeners = options.map(|_| TcpListener::bind("127.0.0.1:0"));
        let mut ports = Vec::new();
        for (option, listener) in options.into_iter().zip(listeners) {
            ports.push((option, listener?.local_addr()?.port().to_string()));
        }
        if let Some(bootstrap) = kafka {
            ports.pop();
            ports.push(("--kafka", bootstrap.to_owned()));
        }
        Ok(Self(ports))
    }
}

/// A street in a process of its own.
struct Victim {
    process: Child,
    street: Street,
}

impl Victim {
    fn start(folder: &Path, ports: &Ports) -> Result<Self> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("up.log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_compline"));
        command.arg("up").arg("--data").arg(folder.join("data"));
        for (option, port) in &ports.0 {
            command.arg(option).arg(port);
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting compline up")?;
        Ok(Self {
            process,
            street: Street::at(folder.join("data")),
        })
    }

    async fn ready(&mut self) -> Result<RunFile> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(180);
        loop {
            if let Ok(Found::Running(running)) = self.street.find()
                && running.pid == self.process.id()
            {
                return Ok(running);
            }
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("compline up ended with {status}:\n{}", self.last_words());
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "compline up does not get ready:\n{}",
                self.last_words()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn last_words(&self) -> String {
        let log = self.street.folder().with_file_name("up.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let tail: Vec<&str> = text.lines().rev().take(20).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// SIGKILL, as `Child::kill` sends it.
    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGINT, as Ctrl-C sends it: it must leave by itself.
    async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "{status}:\n{}", self.last_words());
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("Ctrl-C does not end it:\n{}", self.last_words())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Failing tests leave it running; a second kill of a dead one does nothing.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
