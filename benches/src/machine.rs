//! What it was measured on: a ratio means little without the disk beside it.

use std::{
    fmt, fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::measure::quantile;

/// Appends that are synced one by one, each a log block.
const SYNCS: usize = 200;
const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    system: String,
    /// Where log and database lie.
    folder: PathBuf,
    /// One appended block to disk, milliseconds.
    fdatasync_p50_ms: f64,
    fdatasync_p99_ms: f64,
    /// Runnable processes over the last minute, where the system tells.
    load_before: Option<f64>,
}

impl Machine {
    pub(crate) fn look(folder: &Path) -> Result<Self> {
        let uname = rustix::system::uname();
        let (fdatasync_p50_ms, fdatasync_p99_ms) =
            time_syncs(folder).with_context(|| format!("writing in {}", folder.display()))?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            system: format!(
                "{} {} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy(),
                uname.machine().to_string_lossy(),
            ),
            folder: folder.to_owned(),
            fdatasync_p50_ms,
            fdatasync_p99_ms,
            load_before: load(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores, {}; fdatasync in {}: p50 {:.2} ms, p99 {:.2} ms",
            self.cores,
            self.system,
            self.folder.display(),
            self.fdatasync_p50_ms,
            self.fdatasync_p99_ms
        )?;
        if self.fdatasync_p50_ms < 0.02 {
            write!(
                f,
                " (that is memory, no disk: durable writes are free here)"
            )?;
        }
        match self.load_before {
            Some(load) => write!(f, "; load before {load:.1}"),
            None => Ok(()),
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn time_syncs(folder: &Path) -> Result<(f64, f64)> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let block = vec![7; BLOCK_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&block)?;
        file.as_file().sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((quantile(&times, 0.5), quantile(&times, 0.99)))
}
