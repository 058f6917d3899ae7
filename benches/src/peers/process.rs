//! A peer's processes, which end when this one does, however it goes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::{measure::processor_seconds_of_group, script};

const LONGEST_START: Duration = Duration::from_secs(60);
/// How much of its log is told when it fails.
const LAST_LINES: usize = 15;

#[derive(Debug)]
pub(super) struct Peer {
    /// Leads a group that holds whatever the peer starts; its input is open as long as we live.
    leader: Child,
    group: Pid,
    log: PathBuf,
}

impl Peer {
    /// Starts `program`; `set` adds its arguments and environment. What it prints goes to `log`.
    pub(super) fn start(
        program: &Path,
        log: PathBuf,
        set: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self> {
        let written = File::create(&log)?;
        let mut command = Command::new(script::path("peers/until-eof"));
        command
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(written.try_clone()?)
            .stderr(written)
            .process_group(0);
        let leader = set(&mut command).spawn().context("starting a peer")?;
        let group = leader.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self {
            group: group.context("the peer has ended")?,
            leader,
            log,
        })
    }

    /// Waits until something listens there.
    pub(super) async fn listens(&mut self, port: u16) -> Result<()> {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            self.check()?;
            ensure!(
                began.elapsed() < LONGEST_START,
                "port {port} does not open; {}",
                self.last_words()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.leader.try_wait()? {
            None => Ok(()),
            Some(_) => bail!("the peer ended by itself; {}", self.last_words()),
        }
    }

    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        format!("its last words:\n{}", last.join("\n"))
    }

    /// Of all its processes that live.
    pub(super) fn processor_seconds(&self) -> f64 {
        processor_seconds_of_group(self.group.as_raw_nonzero().get())
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        self.kill();
        self.leader.wait().await?;
        Ok(())
    }

    /// What it holds is thrown away, so nothing has to be closed in order.
    fn kill(&self) {
        // One that has ended is as good.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}
