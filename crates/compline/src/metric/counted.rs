//! Histograms that are counted elsewhere, bucket by bucket. The recorder takes single
//! durations only, and what is handed to it as counters is told as counters, of which
//! Prometheus makes no histogram; so these are written beside what it writes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
};

/// A histogram's name and help.
#[derive(Debug, Clone, Copy)]
pub struct Histogram {
    /// Ends with its unit.
    pub name: &'static str,
    pub help: &'static str,
    /// The name of its one label, if it has one.
    pub label: Option<&'static str>,
}

/// What one series of a histogram has counted since the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Upper bounds, ascending, and how many lie above the bound before and not above this
    /// one: not cumulated.
    pub buckets: Vec<(f64, u64)>,
    pub above: u64,
    pub sum: f64,
}

/// The histograms of one process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Counted(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Debug)]
struct Family {
    histogram: Histogram,
    /// By the label's value.
    series: BTreeMap<String, Counts>,
}

impl Counted {
    /// Takes the place of what was counted before.
    pub fn set(&self, histogram: Histogram, value: &str, counts: Counts) {
        let mut families = self.lock();
        let family = families.entry(histogram.name).or_insert_with(|| Family {
            histogram,
            series: BTreeMap::new(),
        });
        family.series.insert(value.to_owned(), counts);
    }

    /// As Prometheus' text format has it.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for family in self.lock().values() {
            family.write(&mut text).expect("a string takes everything");
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.0.lock().expect("nothing panics while it holds them")
    }
}

impl Family {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Histogram { name, help, label } = self.histogram;
        writeln!(text, "# HELP {name} {help}")?;
        writeln!(text, "# TYPE {name} histogram")?;
        for (value, counts) in &self.series {
            let own = label.map_or(String::new(), |label| format!("{label}={value:?}"));
            let comma = if own.is_empty() { "" } else { "," };
            let mut below = 0;
            for (bound, count) in &counts.buckets {
                below += count;
                writeln!(text, "{name}_bucket{{{own}{comma}le=\"{bound}\"}} {below}")?;
            }
            let all = below + counts.above;
            writeln!(text, "{name}_bucket{{{own}{comma}le=\"+Inf\"}} {all}")?;
            let braces = match own.is_empty() {
                true => own,
                false => format!("{{{own}}}"),
            };
            writeln!(text, "{name}_sum{braces} {}", counts.sum)?;
            writeln!(text, "{name}_count{braces} {all}")?;
        }
        writeln!(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulated_and_the_last_is_the_count() {
        let counted = Counted::default();
        let histogram = Histogram {
            name: "wait_seconds",
            help: "Time",
            label: Some("request"),
        };
        let counts = Counts {
            buckets: vec![(0.0001, 2), (0.5, 3)],
            above: 1,
            sum: 7.25,
        };
        counted.set(histogram, "Fetch", counts.clone());
        counted.set(histogram, "Fetch", counts);
        let expected = "\
# HELP wait_seconds Time
# TYPE wait_seconds histogram
wait_seconds_bucket{request=\"Fetch\",le=\"0.0001\"} 2
wait_seconds_bucket{request=\"Fetch\",le=\"0.5\"} 5
wait_seconds_bucket{request=\"Fetch\",le=\"+Inf\"} 6
wait_seconds_sum{request=\"Fetch\"} 7.25
wait_seconds_count{request=\"Fetch\"} 6

";
        assert_eq!(counted.render(), expected);
    }
}
