//! kill -9 of the whole street at random moments, under load; then a verifier that
//! shares neither loop nor fences nor outbox with the product folds the log anew
//! and compares every row. Nothing acknowledged may be missing, nothing doubled.
//!
//! `KILL_TIMES` says how often; `dev/kill` runs the long form.

pub(crate) mod nodes;

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline::{
    client::Target,
    simulate::audience::Audience,
    street::{Found, RunFile, Street},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use crate::{
    house::{as_owner, log_of},
    load::{Load, STEADY},
    verdict,
};

const KILLS: u32 = 3;
const ACCOUNTS: usize = 4;
const TENANTS: usize = 2;

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

    let load = Load::start(&[door(&running)], accounts, seed, STEADY)?;
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
    let verdict = verdict::all(&log_of(&running)?, &as_owner(&running)?, &acknowledged).await?;
    eprintln!("{verdict}");
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

/// For webhooks.
fn door(running: &RunFile) -> String {
    format!("http://{}", running.addresses.ingress)
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
