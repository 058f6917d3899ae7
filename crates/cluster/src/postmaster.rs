//! The running server: its start under the watcher, its end, and a former one's remains.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::io;
use crate::place::Place;
use crate::{ClusterError, log};

const WATCHER: &str = include_str!("watcher.sh");
const POLL: Duration = Duration::from_millis(20);
/// The watcher lets a fast shutdown take a minute, then ends the server the hard way.
const STOP_TIMEOUT: Duration = Duration::from_secs(75);
/// A former server is being stopped by its own watcher, which has died with it if it takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server under its watcher.
#[derive(Debug)]
pub(crate) struct Postmaster {
    watcher: Child,
    /// Closing it stops the server. None once that has been done.
    leash: Option<ChildStdin>,
    pub(crate) pid: i32,
}

impl Postmaster {
    /// Starts the server; it is not ready yet.
    pub(crate) fn spawn(
        place: &Place,
        binaries: &Binaries,
        account: &Account,
        arguments: &[String],
    ) -> Result<Self, ClusterError> {
        let log = log::open(&place.log(), account)?;
        let mut command = account.command(Path::new("/bin/sh"), &place.pgdata());
        command
            .args(["-c", WATCHER, "watcher"])
            .arg(binaries.program("postgres"))
            .arg("-D")
            .arg(place.pgdata())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Out of the terminal's group: Ctrl-C is for the program, which stops the server when
            // it has finished with it.
            .process_group(0);
        let mut watcher = command.spawn().map_err(io("cannot run", "/bin/sh"))?;
        let leash = watcher.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = watcher.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(io("cannot hear from", "/bin/sh"))?;
        }
        Ok(Self {
            watcher,
            leash,
            // 0 when the watcher died at once; `has_ended` then says so.
            pid: line.trim().parse().unwrap_or(0),
        })
    }

    /// Whether the server has ended, for whatever reason.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.watcher.try_wait(), Ok(None))
    }

    /// Waits until the server takes connections. False when it ended instead.
    pub(crate) async fn ready(&mut self, pgdata: &Path, timeout: Duration) -> Option<bool> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if self.has_ended() {
                return Some(false);
            }
            if let Some(file) = PidFile::read(pgdata)
                && file.pid == self.pid
                && file.ready
            {
                return Some(true);
            }
            tokio::time::sleep(POLL).await;
        }
        None
    }

    /// Fast shutdown: sessions are ended, everything is written out.
    pub(crate) async fn stop(&mut self) -> Result<(), ClusterError> {
        drop(self.leash.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if self.has_ended() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(ClusterError::NotStopped {
            seconds: STOP_TIMEOUT.as_secs(),
        })
    }

    /// As [`Postmaster::stop`], for where nothing can be awaited.
    pub(crate) fn stop_blocking(&mut self) {
        drop(self.leash.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

/// Waits for a former server on the same data to end, helps it if nobody else does, and clears away
/// what a dead one left. The caller holds the folder's lock, so no other program runs one.
pub(crate) async fn clear_former(pgdata: &Path) -> Result<(), ClusterError> {
    let started = Instant::now();
    let mut asked = false;
    loop {
        let Some(former) = PidFile::read(pgdata) else {
            return Ok(());
        };
        let Some(pid) = Pid::from_raw(former.pid).filter(|pid| serves(*pid, pgdata)) else {
            // Postgres itself would refuse to start when the number has been given to another
            // process of the same user, as happens at once in a container that starts again.
            let path = pgdata.join("postmaster.pid");
            return fs::remove_file(&path).map_err(io("cannot remove", path));
        };
        if started.elapsed() > STOP_TIMEOUT {
            return Err(ClusterError::StillRunning {
                pid: former.pid,
                seconds: STOP_TIMEOUT.as_secs(),
            });
        }
        if !asked && started.elapsed() > PATIENCE {
            tracing::warn!(
                pid = former.pid,
                "stopping a former PostgreSQL that nobody watches"
            );
            // It may end just now.
            let _ = kill_process(pid, Signal::INT);
            asked = true;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the process lives and is a server on this data.
fn serves(pid: Pid, pgdata: &Path) -> bool {
    if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    let number = pid.as_raw_nonzero().to_string();
    let command_line = match fs::read(format!("/proc/{number}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) => match Command::new("ps")
            .args(["-ww", "-o", "args=", "-p", &number])
            .output()
        {
            Ok(output) => output.stdout,
            // Not knowing, it is safer to believe the file.
            Err(_) => return true,
        },
    };
    String::from_utf8_lossy(&command_line).contains(&*pgdata.to_string_lossy())
}

/// `postmaster.pid`: line 1 is the process, line 4 its port, line 8 its state
/// (src/include/utils/pidfile.h).
pub(crate) struct PidFile {
    pid: i32,
    pub(crate) port: Option<u16>,
    ready: bool,
}

impl PidFile {
    /// Whether its process lives and is a server on this data.
    pub(crate) fn is_of(&self, pgdata: &Path) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| serves(pid, pgdata))
    }

    pub(crate) fn read(pgdata: &Path) -> Option<Self> {
        let text = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        Some(Self {
            // A standalone backend writes its number negated; an empty file is one being written.
            pid: lines.next()?.trim().parse::<i32>().ok()?.abs(),
            port: lines.nth(2).and_then(|port| port.trim().parse().ok()),
            ready: lines.nth(3).is_some_and(|state| state.trim() == "ready"),
        })
    }
}
