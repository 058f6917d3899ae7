//! Celery's queue: Redis, asked by its inline commands.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{log::free_port, peers::process::Peer};

/// Celery's name for a queue that was given none.
const LIST: &str = "celery";
/// Which the peer's task counts up.
const HANDLED: &str = "handled";
const LONGEST: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A snapshot now and then: what was acknowledged since is lost with the process.
    Default,
    /// On disk before it answers.
    Synced,
}

impl Durability {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Durability::Default => "Redis by default",
            Durability::Synced => "Redis synced",
        }
    }
}

pub(super) struct Queue {
    redis: Peer,
    port: u16,
}

impl Queue {
    pub(super) async fn start(
        programs: &Path,
        folder: &Path,
        durability: Durability,
    ) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join("redis.log");
        let mut redis = Peer::start(&programs.join("bin/redis-server"), log, |redis| {
            redis.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            redis.arg("--dir").arg(folder);
            match durability {
                Durability::Default => redis,
                Durability::Synced => {
                    redis.args(["--appendonly", "yes", "--appendfsync", "always"])
                }
            }
        })?;
        redis.listens(port).await?;
        Ok(Self { redis, port })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// That it holds what was acknowledged: a peer that answers without keeping is none.
    pub(super) async fn holds(&self, told: usize) -> Result<()> {
        let held = self.ask(&format!("LLEN {LIST}")).await?;
        ensure!(
            held == told,
            "{told} were acknowledged, and the queue holds {held}"
        );
        Ok(())
    }

    /// How many a second, once all that were told are handled.
    #[allow(clippy::cast_precision_loss)]
    pub(super) async fn handled(&self, told: usize) -> Result<f64> {
        let began = Instant::now();
        let mut first = None;
        loop {
            // It answers 0 for a key that is not there.
            let handled = self.ask(&format!("INCRBY {HANDLED} 0")).await?;
            let (since, before) = *first.get_or_insert((Instant::now(), handled));
            if handled == 0 {
                first = None;
            }
            if handled >= told {
                ensure!(
                    handled == told,
                    "{told} were acknowledged, and {handled} handled"
                );
                let seconds = since.elapsed().as_secs_f64();
                return Ok((handled - before) as f64 / seconds);
            }
            ensure!(
                began.elapsed() < LONGEST,
                "{handled} of {told} were handled"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn clear(&self) -> Result<()> {
        self.ask(&format!("DEL {LIST} {HANDLED}")).await.map(drop)
    }

    pub(super) fn processor_seconds(&self) -> f64 {
        self.redis.processor_seconds()
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.redis.stop().await
    }

    /// For commands that are answered with a number.
    async fn ask(&self, command: &str) -> Result<usize> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        let number = answer.trim_end().strip_prefix(':');
        let number = number.with_context(|| format!("Redis answered {command} with {answer:?}"))?;
        Ok(number.parse()?)
    }
}
