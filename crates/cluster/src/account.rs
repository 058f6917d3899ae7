//! Who Postgres runs as.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ClusterError;
use crate::error::io;

/// In the order of preference. Others will not do: initdb asks the system for the user's name, so a
/// bare number fails.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The user whose processes Postgres' are.
#[derive(Debug, Clone)]
pub(crate) enum Account {
    /// Whoever runs this program.
    Own,
    /// This program runs as root, Postgres as this user.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn choose() -> Result<Self, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        CANDIDATES
            .iter()
            .find_map(|name| {
                Some(Self::Other {
                    name: (*name).to_owned(),
                    uid: id("-u", name)?,
                    gid: id("-g", name)?,
                })
            })
            .ok_or(ClusterError::NoAccount)
    }

    /// A command that runs as this user, in a folder that it can enter, reading nothing.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        if let Self::Other { uid, gid, .. } = self {
            // Std drops root's supplementary groups together with the uid.
            command.uid(*uid).gid(*gid);
            command.env_remove("HOME");
        }
        // The caller's Postgres variables (PGDATA, PGPORT, PGOPTIONS, …) are about another server.
        for (key, _) in std::env::vars_os() {
            if key.to_str().is_some_and(|key| key.starts_with("PG")) {
                command.env_remove(key);
            }
        }
        command.env("LC_ALL", "C").env_remove("LANG");
        command
    }

    /// Gives a file or folder to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(io("cannot give away", path))
            }
        }
    }

    /// The first folder on the way to `path` (itself included) that this user cannot enter.
    pub(crate) fn barred_from(&self, path: &Path) -> Option<PathBuf> {
        let Self::Other { .. } = self else {
            return None;
        };
        // Tried, not computed from mode bits: access lists and mounts have their say too.
        if self.enters(path) {
            return None;
        }
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|folder| !self.enters(folder))
            .map(Path::to_owned)
    }

    /// [`ClusterError::Unreachable`] where this user cannot enter `path`.
    pub(crate) fn must_reach(&self, path: &Path) -> Result<(), ClusterError> {
        match self.barred_from(path) {
            None => Ok(()),
            Some(folder) => Err(ClusterError::Unreachable {
                account: self.name().to_owned(),
                folder,
                path: path.to_owned(),
            }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own => "the own user",
            Self::Other { name, .. } => name,
        }
    }

    fn enters(&self, folder: &Path) -> bool {
        self.command(Path::new("/bin/sh"), Path::new("/"))
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

fn id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().parse().ok())?
}
