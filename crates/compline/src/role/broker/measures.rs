//! The embedded log's statistics as metrics.

use std::collections::{BTreeMap, BTreeSet};

use compline_broker::{LATENCY_BOUNDS, Latency, Stats};
use metrics::{Label, counter, gauge};

use crate::metric::{
    self,
    counted::{Counted, Counts},
};

/// Topics and groups are named by clients, and a metric is never forgotten: beyond so many, the
/// rest is told together.
const MOST_SERIES: usize = 500;
const OTHERS: &str = "(others)";

/// The series with labels that clients choose.
#[derive(Debug, Default)]
pub(super) struct Shown(BTreeMap<&'static str, BTreeSet<Vec<Label>>>);

impl Shown {
    /// Shows all values of a metric; what was shown before and is gone is shown as nothing.
    fn show(&mut self, name: &'static str, values: impl Iterator<Item = (Vec<Label>, u64)>) {
        let known = self.0.entry(name).or_default();
        let mut sums: BTreeMap<_, _> = known.iter().map(|labels| (labels.clone(), 0)).collect();
        for (mut labels, value) in values {
            if !known.contains(&labels) && known.len() >= MOST_SERIES {
                labels = labels
                    .iter()
                    .map(|label| Label::new(label.key().to_owned(), OTHERS))
                    .collect();
            }
            known.insert(labels.clone());
            *sums.entry(labels).or_default() += value;
        }
        for (labels, sum) in sums {
            gauge!(name, labels).set(sum as f64);
        }
    }
}

fn label(key: &'static str, value: &str) -> Label {
    Label::new(key, value.to_owned())
}

pub(super) fn record(stats: &Stats, shown: &mut Shown, counted: &Counted) {
    gauge!(metric::BROKER_CONNECTIONS).set(stats.connections as f64);
    for (name, count) in [
        (metric::BROKER_CONNECTIONS_TAKEN, stats.connections_accepted),
        (
            metric::BROKER_CONNECTIONS_REFUSED,
            stats.connections_refused,
        ),
        (metric::BROKER_REQUESTS_REFUSED, stats.requests_refused),
        (metric::BROKER_BYTES_IN, stats.bytes_in),
        (metric::BROKER_BYTES_OUT, stats.bytes_out),
        (metric::BROKER_BYTES_APPENDED, stats.bytes_appended),
        (metric::BROKER_BYTES_FETCHED, stats.bytes_fetched),
        (metric::BROKER_RECORDS, stats.records_appended),
        (metric::BROKER_DUPLICATES, stats.duplicates),
    ] {
        counter!(name).absolute(count);
    }
    counted.set(metric::BROKER_SYNC_SECONDS, "", counts(&stats.syncs));
    gauge!(metric::BROKER_SYNC_LONGEST).set(stats.syncs.longest.as_secs_f64());
    for call in &stats.calls {
        let counts = counts(&call.took);
        counted.set(metric::BROKER_REQUEST_SECONDS, &call.name, counts);
    }
    for error in &stats.errors {
        counter!(metric::BROKER_ERRORS, vec![label("error", &error.name)]).absolute(error.count);
    }
    let lags = stats.groups.iter().flat_map(|group| {
        let by_topic = group.lag_by_topic.iter();
        by_topic.map(|(topic, lag)| {
            (
                vec![label("group", &group.name), label("topic", topic)],
                *lag,
            )
        })
    });
    shown.show(metric::BROKER_GROUP_LAG, lags);
    let groups = stats.groups.iter();
    let members = groups.map(|group| (vec![label("group", &group.name)], group.members as u64));
    shown.show(metric::BROKER_GROUP_MEMBERS, members);
    let topics = stats.topics.iter();
    let bytes = topics.clone().map(|topic| {
        let bytes = topic.partitions.iter().map(|part| part.bytes).sum();
        (vec![label("topic", &topic.name)], bytes)
    });
    shown.show(metric::TOPIC_BYTES, bytes);
    let segments = topics.map(|topic| {
        let segments = topic.partitions.iter().map(|part| part.segments as u64);
        (vec![label("topic", &topic.name)], segments.sum())
    });
    shown.show(metric::TOPIC_SEGMENTS, segments);
}

fn counts(latency: &Latency) -> Counts {
    let bounds = LATENCY_BOUNDS.iter().map(|bound| bound.as_secs_f64());
    Counts {
        buckets: bounds.zip(latency.buckets).collect(),
        above: latency.buckets[LATENCY_BOUNDS.len()],
        sum: latency.total.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use compline_broker::{GroupStats, TopicStats};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn group(name: String, lag: u64) -> GroupStats {
        GroupStats {
            lag_by_topic: [("t".to_owned(), lag)].into(),
            name,
            state: "Empty",
            members: 0,
            lag,
        }
    }

    #[test]
    fn what_is_gone_is_shown_as_nothing_and_names_are_bounded() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let said = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let mut shown = Shown::default();
            let mut stats = Stats {
                groups: vec![group("g".into(), 7)],
                topics: vec![TopicStats {
                    name: "t".into(),
                    partitions: Vec::new(),
                }],
                ..Stats::default()
            };
            record(&stats, &mut shown, &Counted::default());
            let line = "broker_group_lag_records{group=\"g\",topic=\"t\"}";
            assert!(said.render().contains(&format!("{line} 7\n")));
            assert!(
                said.render()
                    .contains("broker_topic_segments{topic=\"t\"} 0\n")
            );

            stats.groups = (0..2 * MOST_SERIES)
                .map(|number| group(format!("many-{number}"), 1))
                .collect();
            record(&stats, &mut shown, &Counted::default());
            let all = said.render();
            assert!(all.contains(&format!("{line} 0\n")), "{all}");
            assert!(all.contains("{group=\"(others)\",topic=\"(others)\"} 501\n"));
            let series = all
                .lines()
                .filter(|said| said.starts_with("broker_group_lag"));
            assert_eq!(series.count(), MOST_SERIES + 1);
        });
    }
}
