//! A street in a process of its own, for logs, metrics and traces are a process's.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use compline::street::{Found, RunFile, Street};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::house::folder;

pub(super) struct Process {
    child: Child,
    pub(super) at: RunFile,
    folder: TempDir,
}

impl Process {
    pub(super) async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let doors = ["ingress", "query", "command", "admin", "kafka", "postgres"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_compline"))
            .arg("up")
            .arg("--data")
            .arg(&data)
            .args(doors.map(|door| format!("--{door}-port=0")))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Ok(Found::Running(at)) = Street::at(&data).find() {
                return Self { child, at, folder };
            }
            let ended = child.try_wait().unwrap();
            let said = fs::read_to_string(folder.path().join("said")).unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{ended:?}: {said}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn admin(&self) -> String {
        format!("http://{}", self.at.addresses.admin)
    }

    /// In order, so that the last traces are sent.
    pub(super) async fn stop(mut self) {
        interrupt(&self.child);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not stop");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind.
        let _ = self.child.kill();
    }
}

/// From the top of the repository.
pub(super) fn read(path: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(top.join(path)).unwrap()
}
