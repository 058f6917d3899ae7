//! Numbers from a round: latencies, medians, processor time.

use std::{fs, time::Duration};

use rustix::{
    param::clock_ticks_per_second,
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

/// Latencies, gathered.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency.as_secs_f64() * 1e3);
    }

    pub(crate) fn merge(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    pub(crate) fn summary(mut self) -> Summary {
        self.0.sort_by(f64::total_cmp);
        Summary {
            count: self.0.len(),
            p50_ms: quantile(&self.0, 0.5),
            p99_ms: quantile(&self.0, 0.99),
            max_ms: quantile(&self.0, 1.0),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// The nearest rank in `sorted`; 0 when there is nothing.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// The middle of an odd number, the mean of the middle two of an even one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The processor time that this process has used, all threads, seconds. Not
/// Postgres' nor the client's.
pub(crate) fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss)]
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    seconds
}

/// What this process holds in memory, MiB; 0 where there is no `/proc`.
pub(crate) fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// As much for process `parent`, its children that live and those it has buried;
/// 0 where there is no `/proc`.
pub(crate) fn processor_seconds_of_family(parent: i32) -> f64 {
    sum_ticks(|stat| match (stat.pid == parent, stat.parent == parent) {
        (true, _) => stat.own + stat.buried,
        (_, true) => stat.own,
        _ => 0,
    })
}

/// As much for the processes of a group that live; 0 where there is no `/proc`.
pub(crate) fn processor_seconds_of_group(group: i32) -> f64 {
    sum_ticks(|stat| match stat.group == group {
        true => stat.own,
        false => 0,
    })
}

/// Over all processes that there are, in seconds.
fn sum_ticks(counted: impl Fn(Stat) -> u64) -> f64 {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0.0;
    };
    let ticks: u64 = processes
        .flatten()
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter_map(|stat| Stat::parse(&stat))
        .map(counted)
        .sum();
    #[allow(clippy::cast_precision_loss)]
    let seconds = ticks as f64 / clock_ticks_per_second() as f64;
    seconds
}

/// proc_pid_stat(5), as far as needed.
struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    /// Ticks, in user and kernel mode.
    own: u64,
    buried: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        let pid = text.split(' ').next()?.parse().ok()?;
        // The name is in parentheses and may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |from: usize| -> Option<u64> {
            Some(
                fields.get(from)?.parse::<u64>().ok()?
                    + fields.get(from + 1)?.parse::<u64>().ok()?,
            )
        };
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            own: ticks(11)?,
            buried: ticks(13)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), 50.0);
        assert_eq!(quantile(&sorted, 0.99), 99.0);
        assert_eq!(quantile(&sorted, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.01), 7.0);
    }

    #[test]
    fn a_name_does_not_shift_the_fields() {
        let text = "42 (a) b) S 7 41 40 0 -1 4 1 0 0 0 11 22 33 44 20 0 1 0 5";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.group), (42, 7, 41));
        assert_eq!((stat.own, stat.buried), (33, 77));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median([9.0, 1.0, 3.0]), 3.0);
    }
}
