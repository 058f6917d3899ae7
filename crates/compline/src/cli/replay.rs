//! `compline replay`: the log as it is.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, ensure};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use compline_event::{Event, EventId, Offset, Partition, TenantId, Topic, partition::partition_of};
use compline_eventlog::{Log, TopicSpec};
use indicatif::{ProgressBar, ProgressStyle};
use time::OffsetDateTime;

use super::log::LogTarget;
use crate::{
    client::Target,
    output::{Output, printable},
    replay::{
        Decoder, Filter, Place,
        topic::{is_key_of, key_form, topics_of},
    },
    show,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Keys, by topic: ad TENANT/AD, account TENANT/ACCOUNT, tenant and activity TENANT,
webhook.* what the body's first entry is about.

Examples:
  compline replay ad --from 1h --type AdStatusChanged
  compline replay webhook.meta --partition 3 --from 120 --to 121 --json"
)]
pub(super) struct Replay {
    #[arg(value_parser = parse_topic())]
    topic: Topic,
    /// Begin here: an offset, a time (RFC 3339), or an age such as 1h [default: the first record]
    #[arg(long, value_name = "PLACE", value_parser = parse_place)]
    from: Option<Place>,
    /// End before this: an offset, a time or an age [default: the log's present end]
    #[arg(long, value_name = "PLACE", value_parser = parse_place)]
    to: Option<Place>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Only records with this key (see below); reads its partition alone
    #[arg(long)]
    key: Option<String>,
    /// Only this event type, such as AdStatusChanged
    #[arg(long = "type", value_name = "TYPE", value_parser = event_types(), hide_possible_values = true)]
    event_type: Option<String>,
    /// Only this tenant's
    #[arg(long, value_name = "UUID")]
    tenant: Option<TenantId>,
    /// Only this event
    #[arg(long, value_name = "UUID")]
    event: Option<EventId>,
    #[command(flatten)]
    log: LogTarget,
}

fn parse_topic() -> impl TypedValueParser<Value = Topic> {
    let names = PossibleValuesParser::new(Topic::ALL.map(Topic::as_str));
    names.map(|name| name.parse().expect("it is one of the names"))
}

fn event_types() -> PossibleValuesParser {
    PossibleValuesParser::new(Event::TYPES.iter().map(|(name, _)| *name))
}

fn parse_place(text: &str) -> Result<Place, String> {
    Place::parse(text, OffsetDateTime::now_utc())
}

/// A part of one partition.
struct Range {
    partition: Partition,
    from: Offset,
    to: Offset,
}

impl Replay {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        self.check()?;
        let log = self.log.open(target)?;
        let mut ranges = Vec::new();
        for partition in self.partitions()? {
            ranges.push(self.range(&log, partition).await?);
        }
        let total: i64 = ranges.iter().map(|range| range.to.0 - range.from.0).sum();
        let bar = progress_bar(u64::try_from(total).unwrap_or(0));
        let filter = Filter {
            key: self.key.clone(),
            event_type: self.event_type.clone(),
            tenant: self.tenant,
            event_id: self.event,
        };
        let mut decoder = Decoder::default();
        let mut shown = 0_u64;
        for range in ranges {
            let Range {
                partition,
                from,
                to,
            } = range;
            if from >= to {
                continue;
            }
            let mut replay = log.replay(self.topic, partition, from, to)?;
            while let Some(batch) = replay.next_batch().await? {
                for record in batch.iter().filter(|record| filter.takes(record)) {
                    shown += 1;
                    match out.is_json() {
                        true => out.json(&decoder.to_json(record))?,
                        false => out.line(printable(&decoder.to_line(record)))?,
                    }
                }
                bar.inc(batch.len() as u64);
            }
        }
        bar.finish_and_clear();
        if shown == 0 {
            let read = show::count(u64::try_from(total).unwrap_or(0));
            out.note(&match total {
                0 => format!(
                    "there are no records of {} between these places",
                    self.topic
                ),
                _ => format!("none of the {read} records of {} there matches", self.topic),
            })?;
        }
        Ok(())
    }

    /// What could never match anything, whatever the log holds.
    fn check(&self) -> Result<()> {
        let topic = self.topic;
        if let Some(name) = &self.event_type {
            let topics = topics_of(name);
            let stands: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
            ensure!(
                topics.contains(&topic),
                "{name} does not stand in {topic}, but in {}",
                stands.join(" and ")
            );
        }
        if let Some(key) = &self.key {
            let form = key_form(topic);
            ensure!(
                is_key_of(topic, key),
                "--key {key}: a key of {topic} reads {form}; `replay` shows it as key="
            );
        }
        let empty = match (self.from, self.to) {
            (Some(Place::Offset(from)), Some(Place::Offset(to))) => from >= to,
            (Some(Place::Time(from)), Some(Place::Time(to))) => from >= to,
            _ => false,
        };
        ensure!(
            !empty,
            "--from is not before --to: there is nothing between"
        );
        Ok(())
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let count = TopicSpec::of(self.topic).partitions;
        if let Some(partition) = self.partition {
            let there = u32::try_from(partition).is_ok_and(|partition| partition < count);
            anyhow::ensure!(
                there,
                "--partition {partition}: {} has partitions 0 to {}",
                self.topic,
                count - 1
            );
            return Ok(vec![Partition(partition)]);
        }
        if let Some(key) = &self.key {
            return Ok(vec![partition_of(key.as_bytes(), count)]);
        }
        Ok(Log::partitions(self.topic).collect())
    }

    async fn range(&self, log: &Log, partition: Partition) -> Result<Range> {
        let bounds = log
            .bounds(self.topic, partition)
            .await
            .with_context(|| format!("{}/{partition}", self.topic))?;
        let find = async |place: Option<Place>, otherwise: Offset| -> Result<Offset> {
            let offset = match place {
                None => otherwise,
                Some(Place::Offset(offset)) => Offset(offset),
                Some(Place::Time(at)) => log
                    .offset_at_time(self.topic, partition, at)
                    .await?
                    .unwrap_or(bounds.end),
            };
            Ok(offset.clamp(bounds.start, bounds.end))
        };
        Ok(Range {
            partition,
            from: find(self.from, bounds.start).await?,
            to: find(self.to, bounds.end).await?,
        })
    }
}

/// Only where it is in nobody's way: on a terminal that the records do not go to.
fn progress_bar(records: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() || std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{elapsed_precise} [{bar:40}] {human_pos}/{human_len} records, {per_sec}",
    )
    .expect("the template is part of the source");
    ProgressBar::new(records).with_style(style)
}
