//! Postgres' log: one file, kept small.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ClusterError;
use crate::account::Account;
use crate::error::io;

/// The log and its older part are each about this large at most.
const MAX_BYTES: u64 = 16 << 20;
const CHECK_EVERY: Duration = Duration::from_secs(30);
const TAIL_BYTES: u64 = 4096;

/// Opens the log for a process that will append to it.
pub(crate) fn open(path: &Path, account: &Account) -> Result<File, ClusterError> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(io("cannot open", path))?;
    account.own(path)?;
    Ok(file)
}

/// What was written last, from `since` on.
pub(crate) fn tail(path: &Path, since: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            since.max(end.saturating_sub(TAIL_BYTES)).min(end),
        ))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) => format!("(not readable: {error})"),
    }
}

/// Keeps the log bounded until it is dropped.
#[derive(Debug)]
pub(crate) struct Bound(tokio::task::JoinHandle<()>);

impl Bound {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(CHECK_EVERY);
            loop {
                ticks.tick().await;
                if let Err(error) = shorten(&path) {
                    tracing::warn!(log = %path.display(), %error, "PostgreSQL's log could not be shortened");
                }
            }
        }))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Copied and cut, not renamed: Postgres keeps its descriptor, which appends wherever the end is.
/// A line written between the copy and the cut is lost, which a log of warnings can bear.
fn shorten(path: &Path) -> std::io::Result<()> {
    if fs::metadata(path)?.len() <= MAX_BYTES {
        return Ok(());
    }
    fs::copy(path, path.with_extension("log.1"))?;
    File::options().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_log_is_cut_under_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        let mut writer = open(&path, &Account::Own).unwrap();
        let old = "old\n".repeat(MAX_BYTES as usize / 4);
        writer.write_all(old.as_bytes()).unwrap();
        shorten(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            MAX_BYTES,
            "not too long yet"
        );
        writer.write_all(b"end\n").unwrap();
        shorten(&path).unwrap();
        writer.write_all(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(tail(&path, 0), "new");
        assert!(tail(&folder.path().join("postgres.log.1"), 0).ends_with("old\nend"));
    }
}
