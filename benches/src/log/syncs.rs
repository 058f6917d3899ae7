//! What the disk asks for a sync while six files are written at a given rate: the
//! measure of group commit.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    client::{PARTITIONS, RECORD_BYTES},
    measure::{Latencies, Summary},
};

/// One thread a file, each appending and syncing its share of `per_second` records.
pub(super) fn measure(folder: &Path, per_second: u32, length: Duration) -> Result<Summary> {
    let interval = Duration::from_secs(1) * u32::from(PARTITIONS) / per_second;
    let began = Instant::now();
    let mut all = Latencies::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..u32::from(PARTITIONS))
            .map(|number| {
                let first = began + interval * number / u32::from(PARTITIONS);
                scope.spawn(move || write(folder, number, first, interval, length))
            })
            .collect();
        for writer in writers {
            all.merge(writer.join().expect("a writer does not panic")?);
        }
        anyhow::Ok(())
    })?;
    Ok(all.summary())
}

fn write(
    folder: &Path,
    number: u32,
    first: Instant,
    interval: Duration,
    length: Duration,
) -> Result<Latencies> {
    let path = folder.join(format!("sync-{number}"));
    let mut file = File::create(&path)?;
    let mut latencies = Latencies::default();
    let mut due = first;
    while due < first + length {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        file.write_all(&[b'x'; RECORD_BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        latencies.add(began.elapsed());
        due += interval;
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(latencies)
}
