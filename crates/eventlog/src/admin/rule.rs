//! What a topic must be like for the promises to hold, and what it should be like.
//!
//! | | breaks a promise | differs only |
//! |---|---|---|
//! | partitions, replicas | another count; one replica where several are asked for | fewer replicas than asked for |
//! | `min.insync.replicas` | below 2 on several replicas; above their number | |
//! | `unclean.leader.election.enable` | true, on several replicas | |
//! | `cleanup.policy` | compact | |
//! | `retention.ms`, `retention.bytes` | shorter than `schemas/topics.toml` says; a bound on bytes | longer |
//! | `max.message.bytes` | smaller than the largest record | larger |
//! | `message.timestamp.type` | LogAppendTime: a record's time is its event's | |
//! | `message.timestamp.before.max.ms` | | a bound: old records could not be copied here |
//! | `compression.type` | | the cluster would pack batches anew |

use crate::{Retention, TopicSpec};

/// Something of a topic that is not as `schemas/topics.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Kafka's name of the setting, `partitions` or `replication`.
    pub setting: &'static str,
    pub found: String,
    pub needed: String,
    /// Whether a promise does not hold with it.
    pub breaks: bool,
    /// What the setting can be set to in place; `None` where nothing can.
    pub mend: Option<String>,
    /// Whether that was done.
    pub mended: bool,
}

/// What a cluster says of one topic.
pub(super) struct Found<'a> {
    pub(super) partitions: u32,
    pub(super) replication: u16,
    /// The setting's value; `None` where the brokers do not know it.
    pub(super) setting: &'a dyn Fn(&str) -> Option<String>,
}

/// What the topic is made with: Kafka's names and values.
pub(super) fn settings(spec: &TopicSpec, replication: u16) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.bytes", "-1".to_owned()),
        ("retention.ms", retention_ms(spec).to_string()),
        ("max.message.bytes", spec.max_batch_bytes().to_string()),
        ("message.timestamp.type", "CreateTime".to_owned()),
    ];
    // The brokers' own default may be more than there are replicas.
    let in_sync = replication.min(2).to_string();
    settings.push(("min.insync.replicas", in_sync));
    if replication > 1 {
        settings.push(("unclean.leader.election.enable", "false".to_owned()));
    }
    settings
}

/// Kafka's name for "for ever" is -1.
fn retention_ms(spec: &TopicSpec) -> i128 {
    match spec.retention {
        Retention::Kept => -1,
        Retention::AtLeast(time) => i128::try_from(time.as_millis()).unwrap_or(i128::MAX),
    }
}

/// Where a topic is not what it should be; nothing, when all is right. `replication`
/// is what was asked for.
pub(super) fn differences(
    spec: &TopicSpec,
    replication: u16,
    found: &Found<'_>,
) -> Vec<Difference> {
    let mut all = Vec::new();
    if found.partitions != spec.partitions {
        let count = found.partitions.to_string();
        all.push(fixed(
            "partitions",
            count,
            spec.partitions.to_string(),
            true,
        ));
    }
    if found.replication < replication {
        let needed = format!("{replication} or more");
        let lonely = found.replication < 2;
        all.push(fixed(
            "replication",
            found.replication.to_string(),
            needed,
            lonely,
        ));
    }
    all.extend(durability(found));
    let expected_ms = retention_ms(spec);
    let checks: [(&'static str, String, Judge<'_>); 7] = [
        ("cleanup.policy", "delete".into(), &|found| {
            // An empty list deletes nothing at all.
            plain(found.is_empty() || found == "delete")
        }),
        ("retention.bytes", "-1".into(), &|found| {
            plain(number(found).is_some_and(|bytes| bytes < 0))
        }),
        (
            "retention.ms",
            expected_ms.to_string(),
            &|found| match number(found) {
                Some(ms) if ms == expected_ms => Verdict::Right,
                Some(ms) if ms < 0 || (expected_ms >= 0 && ms > expected_ms) => Verdict::Differs,
                _ => Verdict::Breaks,
            },
        ),
        (
            "max.message.bytes",
            spec.max_batch_bytes().to_string(),
            &|found| match number(found).map(|bytes| bytes.cmp(&(spec.max_batch_bytes() as i128))) {
                Some(std::cmp::Ordering::Equal) => Verdict::Right,
                Some(std::cmp::Ordering::Greater) => Verdict::Differs,
                _ => Verdict::Breaks,
            },
        ),
        ("message.timestamp.type", "CreateTime".into(), &|found| {
            plain(found == "CreateTime")
        }),
        (
            "message.timestamp.before.max.ms",
            i64::MAX.to_string(),
            &|found| harmless(found == i64::MAX.to_string()),
        ),
        ("compression.type", "producer".into(), &|found| {
            harmless(found == "producer")
        }),
    ];
    for (setting, value, judge) in checks {
        // A broker that does not know a setting does not do what it is about.
        let Some(found) = (found.setting)(setting) else {
            continue;
        };
        let verdict = judge(&found);
        if verdict != Verdict::Right {
            all.push(Difference {
                setting,
                found,
                needed: match (setting, verdict) {
                    ("max.message.bytes", Verdict::Breaks) => format!("{value} or more"),
                    ("retention.ms", Verdict::Breaks) if expected_ms >= 0 => {
                        format!("{value} or more")
                    }
                    _ => value.clone(),
                },
                mend: Some(value),
                breaks: verdict == Verdict::Breaks,
                mended: false,
            });
        }
    }
    all
}

/// On several replicas, acknowledged must mean: on two brokers, and no broker
/// without it may come to lead.
fn durability(found: &Found<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    let several = found.replication > 1;
    let replicas = (found.setting)("min.insync.replicas");
    let least = if several { 2 } else { 1 };
    let most = i128::from(found.replication);
    let in_sync = replicas.as_deref().and_then(number);
    if !in_sync.is_some_and(|count| (least..=most).contains(&count)) {
        let needed = match several {
            true => format!("2 to {most}"),
            false => "1, for there is one replica".to_owned(),
        };
        let mend = Some(least.to_string());
        all.push(setting("min.insync.replicas", replicas, needed, mend));
    }
    let unclean = (found.setting)("unclean.leader.election.enable");
    if several && unclean.as_deref() != Some("false") {
        let name = "unclean.leader.election.enable";
        all.push(setting(name, unclean, "false".into(), Some("false".into())));
    }
    all
}

type Judge<'a> = &'a dyn Fn(&str) -> Verdict;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Differs,
    Breaks,
}

fn plain(right: bool) -> Verdict {
    if right {
        Verdict::Right
    } else {
        Verdict::Breaks
    }
}

fn harmless(right: bool) -> Verdict {
    if right {
        Verdict::Right
    } else {
        Verdict::Differs
    }
}

fn number(text: &str) -> Option<i128> {
    text.trim().parse().ok()
}

/// Nothing changes it in place.
fn fixed(setting: &'static str, found: String, needed: String, breaks: bool) -> Difference {
    Difference {
        setting,
        found,
        needed,
        breaks,
        mend: None,
        mended: false,
    }
}

fn setting(
    setting: &'static str,
    found: Option<String>,
    needed: String,
    mend: Option<String>,
) -> Difference {
    Difference {
        setting,
        found: found.unwrap_or_else(|| "(not told)".to_owned()),
        needed,
        breaks: true,
        mend,
        mended: false,
    }
}

#[cfg(test)]
mod tests {
    use compline_event::Topic;

    use super::*;

    /// The differences of a topic that is as it is made, but for `changed`.
    fn with(topic: Topic, replication: u16, changed: &[(&str, &str)]) -> Vec<(String, bool)> {
        let spec = TopicSpec::of(topic);
        let made = settings(spec, replication);
        let setting = |name: &str| {
            let changed = changed.iter().find(|(key, _)| *key == name);
            let value = changed.map(|(_, value)| (*value).to_owned());
            let made = made.iter().find(|(key, _)| *key == name);
            value.or(made.map(|(_, value)| value.clone()))
        };
        let found = Found {
            partitions: spec.partitions,
            replication,
            setting: &setting,
        };
        differences(spec, replication, &found)
            .into_iter()
            .map(|difference| (difference.setting.to_owned(), difference.breaks))
            .collect()
    }

    #[test]
    fn what_we_make_is_right() {
        for topic in Topic::ALL {
            for replication in [1, 2, 3] {
                assert_eq!(with(topic, replication, &[]), [], "{topic} {replication}");
            }
        }
    }

    #[test]
    fn each_row_of_the_table() {
        let month = (30_i64 * 86_400_000).to_string();
        let longer = (31_i64 * 86_400_000).to_string();
        let shorter = (29_i64 * 86_400_000).to_string();
        let (kept, expiring) = (Topic::Ad, Topic::WebhookMeta);
        for (topic, replication, setting, value, breaks) in [
            (kept, 3, "min.insync.replicas", "1", true),
            (kept, 3, "min.insync.replicas", "4", true),
            (kept, 1, "min.insync.replicas", "2", true),
            (kept, 3, "unclean.leader.election.enable", "true", true),
            (kept, 1, "cleanup.policy", "compact", true),
            (kept, 1, "cleanup.policy", "compact,delete", true),
            (kept, 1, "retention.ms", month.as_str(), true),
            (expiring, 1, "retention.ms", shorter.as_str(), true),
            (expiring, 1, "retention.ms", longer.as_str(), false),
            (expiring, 1, "retention.ms", "-1", false),
            (kept, 1, "retention.bytes", "1000000", true),
            (kept, 1, "max.message.bytes", "1048588", true),
            (kept, 1, "max.message.bytes", "9000000", false),
            (kept, 1, "message.timestamp.type", "LogAppendTime", true),
            (
                kept,
                1,
                "message.timestamp.before.max.ms",
                "86400000",
                false,
            ),
            (kept, 1, "compression.type", "lz4", false),
        ] {
            let found = with(topic, replication, &[(setting, value)]);
            assert_eq!(found, [(setting.to_owned(), breaks)], "{setting} = {value}");
        }
        // It deletes nothing at all, which is more than is asked for.
        assert_eq!(with(kept, 1, &[("cleanup.policy", "")]), []);
        assert_eq!(with(expiring, 1, &[("retention.ms", &month)]), []);
    }
}
