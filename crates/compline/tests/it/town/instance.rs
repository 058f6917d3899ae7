//! One process of a role: started, killed, stopped, and started again when it is due.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use compline::admin_client;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

pub(crate) type Variables = Vec<(String, String)>;

/// As orchestrators wait before they start again what has ended by itself.
const BACK_OFF: Duration = Duration::from_millis(300);

const STOP: Duration = Duration::from_secs(60);

pub(crate) struct Instance {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    variables: Variables,
    listens: Option<SocketAddr>,
    admin: SocketAddr,
    log: PathBuf,
    process: Option<Child>,
    /// When it is to be started, if it does not run.
    due: Instant,
    /// How often it ended without having been told to.
    pub(crate) gave_up: usize,
}

impl Instance {
    pub(crate) fn new(
        name: &'static str,
        arguments: &'static [&'static str],
        mut variables: Variables,
        listen: Option<(&str, SocketAddr)>,
        logs: &Path,
    ) -> Result<Self> {
        let admin = SocketAddr::from(([127, 0, 0, 1], super::port()?));
        variables.push(("COMPLINE_ADMIN__LISTEN".to_owned(), admin.to_string()));
        if let Some((variable, address)) = listen {
            variables.push((variable.to_owned(), address.to_string()));
        }
        Ok(Self {
            name,
            arguments,
            variables,
            listens: listen.map(|(_, address)| address),
            log: logs.join(format!("{name}-{}", admin.port())),
            admin,
            process: None,
            due: Instant::now(),
            gave_up: 0,
        })
    }

    pub(crate) fn url(&self) -> Option<String> {
        Some(format!("http://{}", self.listens?))
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let process = command(self.arguments, &self.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        self.process = Some(process);
        Ok(())
    }

    /// Starts it, if it does not run and is due.
    pub(crate) fn tend(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            if process.try_wait()?.is_none() {
                return Ok(());
            }
            self.process = None;
            self.gave_up += 1;
            self.due = Instant::now() + BACK_OFF;
        }
        if self.due <= Instant::now() {
            self.start()?;
        }
        Ok(())
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL; it comes back after `away`.
    pub(crate) fn kill(&mut self, away: Duration) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        self.due = Instant::now() + away;
        Ok(())
    }

    /// SIGTERM, as orchestrators send it: it must leave by itself, and in order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        kill_process(Pid::from_child(process), Signal::TERM)?;
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = process.try_wait()? {
                ensure!(
                    status.success(),
                    "{}: {status}\n{}",
                    self.name,
                    super::tail(&self.log)
                );
                self.process = None;
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} does not stop", self.name);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        Ok(kill_process(Pid::from_child(process), signal)?)
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let asked = admin_client::ready(&format!("http://{}", self.admin)).await;
        self.is_alive() && asked.is_ok_and(|(ready, _)| ready)
    }

    pub(crate) async fn ready(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while !self.is_ready().await {
            ensure!(
                Instant::now() < deadline,
                "{} does not get ready:\n{}",
                self.name,
                self.last_words()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(crate) fn last_words(&self) -> String {
        super::tail(&self.log)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Failing tests leave it running.
        let _ = self.kill(Duration::ZERO);
    }
}

pub(crate) async fn run_to_end(arguments: &[&str], variables: &Variables) -> Result<()> {
    let mut command = command(arguments, variables);
    let ended = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "compline {arguments:?}: {said}");
    Ok(())
}

fn command(arguments: &[&str], variables: &Variables) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compline"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().map(|(key, value)| (key, value)));
    command
}
