//! Latencies, kept one by one: a quantile is then exact.

use std::time::Duration;

/// Microseconds, up to 71 minutes each, 4 bytes a sample.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    micros: Vec<u32>,
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        self.micros
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, other: Latencies) {
        self.micros.extend(other.micros);
    }

    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// The smallest latency that at least the share `q` (0 to 1) does not exceed;
    /// `None` without samples.
    pub fn quantile(&mut self, q: f64) -> Option<Duration> {
        let last = self.micros.len().checked_sub(1)?;
        let rank = (q * self.micros.len() as f64).ceil() as usize;
        let index = rank.saturating_sub(1).min(last);
        let (_, micros, _) = self.micros.select_nth_unstable(index);
        Some(Duration::from_micros(u64::from(*micros)))
    }
}

/// `1.84 ms`.
pub fn show(latency: Option<Duration>) -> String {
    latency.map_or_else(
        || "-".to_owned(),
        |latency| format!("{:.2} ms", latency.as_secs_f64() * 1000.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for millis in (1..=100).rev() {
            latencies.record(Duration::from_millis(millis));
        }
        assert_eq!(latencies.quantile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(latencies.quantile(0.99), Some(Duration::from_millis(99)));
        assert_eq!(latencies.quantile(1.0), Some(Duration::from_millis(100)));
    }
}
