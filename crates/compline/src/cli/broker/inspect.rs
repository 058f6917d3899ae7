//! `compline broker inspect`: the folder of a log that is stopped, for people and
//! machines.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use compline_broker::inspect::{
    BatchFacts, Finding, Inspector, PartitionFacts, PartitionFolder, Severity, TopicFacts,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{finding, log_in, severity};
use crate::{output::Output, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// A data folder, or the folder of a log
    folder: PathBuf,
    /// Only this topic, by its name in the log
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N", requires = "topic")]
    partition: Option<i32>,
    /// List the batches of the partition from this offset on
    #[arg(long, value_name = "OFFSET", requires = "partition")]
    from: Option<i64>,
}

impl Inspect {
    pub(super) fn run(self, out: &mut Output) -> Result<()> {
        let path = log_in(&self.folder);
        let folder = Inspector::open(&path).with_context(|| format!("{}", path.display()))?;
        let mut damages = 0;
        let mut count = |findings: &[Finding]| {
            let worst = findings.iter().filter(|f| f.severity == Severity::Damage);
            damages += worst.count();
        };
        if self.topic.is_none() {
            let facts = folder.facts()?;
            count(&facts.findings);
            match out.is_json() {
                true => out.json(&json!({
                    "folder": path,
                    "clusterId": facts.cluster_id,
                    "clean": facts.clean,
                    "nextProducerId": facts.next_producer_id,
                    "findings": facts.findings.iter().map(finding).collect::<Vec<_>>(),
                }))?,
                false => {
                    let next = facts.next_producer_id;
                    out.pairs(&[
                        ("folder", path.display().to_string()),
                        ("cluster id", facts.cluster_id),
                        ("stopped in order", show::yes_no(facts.clean).to_owned()),
                        (
                            "producer ids",
                            next.map_or("?".into(), |id| format!("below {id}")),
                        ),
                    ])?;
                    tell(&facts.findings, out)?;
                }
            }
        }
        let mut topics = folder.topics()?;
        if let Some(name) = &self.topic {
            topics.retain(|topic| topic.name == *name);
            if topics.is_empty() {
                bail!("{} has no topic {name}", path.display());
            }
        }
        for topic in &topics {
            if !out.is_json() {
                out.line("")?;
                out.line(heading(topic))?;
            }
            for place in self.wanted(topic)? {
                let facts = self.partition(&folder, topic, place, out)?;
                count(&facts.findings);
            }
        }
        if self.topic.is_none() {
            if let Some(log) = folder.offsets_log()? {
                let facts = folder.partition(&log, |_| true)?;
                count(&facts.findings);
                tell(&facts.findings, out)?;
            }
            groups(&folder, out)?;
        }
        out.flush()?;
        match damages {
            0 => Ok(()),
            count => {
                bail!("{count} places are damaged; `compline broker repair` says what it can do")
            }
        }
    }

    fn wanted<'a>(&self, topic: &'a TopicFacts) -> Result<Vec<&'a PartitionFolder>> {
        let wanted = |place: &&PartitionFolder| self.partition.is_none_or(|n| n == place.number);
        let found: Vec<_> = topic.partitions.iter().filter(wanted).collect();
        if found.is_empty() {
            let number = self.partition.unwrap_or_default();
            bail!("topic {} has no partition {number}", topic.name);
        }
        Ok(found)
    }

    fn partition(
        &self,
        folder: &Inspector,
        topic: &TopicFacts,
        place: &PartitionFolder,
        out: &mut Output,
    ) -> Result<PartitionFacts> {
        let mut written = Ok(());
        let facts = folder.partition(place, |batch| {
            if self.from.is_some_and(|from| batch.next_offset > from) {
                written = tell_batch(batch, topic, place, out);
            }
            written.is_ok()
        })?;
        written?;
        if out.is_json() {
            out.json(&partition(topic, place, &facts))?;
            return Ok(facts);
        }
        let synced = facts
            .synced_offset
            .map_or("?".into(), |offset| offset.to_string());
        let bytes = facts.segments.iter().map(|segment| segment.bytes).sum();
        let batches: u64 = facts.segments.iter().map(|segment| segment.batches).sum();
        out.line(format!(
            "  {}  offsets {} to {}, synced to {synced}; {} in {} segments, {} batches, {} producers",
            place.number,
            facts.start_offset,
            facts.end_offset,
            show::bytes(bytes),
            facts.segments.len(),
            show::count(batches),
            facts.producers.len(),
        ))?;
        if self.partition.is_some() {
            detail(&facts, out)?;
        }
        tell(&facts.findings, out)?;
        Ok(facts)
    }
}

fn heading(topic: &TopicFacts) -> String {
    let settings: Vec<String> = (topic.settings.iter())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("topic {} ({}) {}", topic.name, topic.id, settings.join(" "))
}

fn detail(facts: &PartitionFacts, out: &mut Output) -> Result<()> {
    for segment in &facts.segments {
        out.line(format!(
            "     {}  {} to {}, {}, {} batches, {} records, newest {}",
            segment.path.file_name().unwrap_or_default().display(),
            segment.first_offset,
            segment.next_offset,
            show::bytes(segment.bytes),
            show::count(segment.batches),
            show::count(segment.records),
            time(segment.newest_ms),
        ))?;
    }
    for producer in &facts.producers {
        out.line(format!(
            "     producer {} epoch {}: sequence {} at offset {}",
            producer.id, producer.epoch, producer.last_sequence, producer.last_offset
        ))?;
    }
    Ok(())
}

fn tell_batch(
    batch: &BatchFacts<'_>,
    topic: &TopicFacts,
    place: &PartitionFolder,
    out: &mut Output,
) -> Result<()> {
    if out.is_json() {
        out.json(&json!({
            "batch": {
                "topic": topic.name,
                "partition": place.number,
                "segment": batch.segment,
                "position": batch.position,
                "bytes": batch.bytes,
                "firstOffset": batch.first_offset,
                "nextOffset": batch.next_offset,
                "records": batch.records,
                "codec": batch.codec,
                "baseTimestamp": batch.base_ms,
                "newestTimestamp": batch.newest_ms,
                "producerId": batch.producer_id,
                "producerEpoch": batch.producer_epoch,
                "firstSequence": batch.first_sequence,
            }
        }))?;
        return Ok(());
    }
    let producer = match batch.producer_id {
        -1 => "no producer".to_owned(),
        id => format!(
            "producer {id} epoch {} sequence {}",
            batch.producer_epoch, batch.first_sequence
        ),
    };
    out.line(format!(
        "     {} at byte {}: offsets {} to {}, {} records, {}, {}, {}, {producer}",
        batch.segment.file_name().unwrap_or_default().display(),
        batch.position,
        batch.first_offset,
        batch.next_offset,
        batch.records,
        show::bytes(batch.bytes),
        batch.codec,
        time(batch.newest_ms),
    ))?;
    Ok(())
}

fn groups(folder: &Inspector, out: &mut Output) -> Result<()> {
    let committed = folder.committed()?;
    if out.is_json() {
        for one in committed {
            out.json(&json!({
                "group": one.group,
                "topic": one.topic,
                "partition": one.partition,
                "committed": one.offset,
                "metadata": one.metadata,
            }))?;
        }
        return Ok(());
    }
    if committed.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let rows = committed.into_iter().map(|one| {
        vec![
            one.group,
            format!("{}/{}", one.topic, one.partition),
            one.offset.to_string(),
        ]
    });
    out.table(&["group", "partition", "committed"], rows.collect())?;
    Ok(())
}

fn partition(topic: &TopicFacts, place: &PartitionFolder, facts: &PartitionFacts) -> Value {
    let segments: Vec<Value> = (facts.segments.iter())
        .map(|segment| {
            json!({
                "file": segment.path,
                "firstOffset": segment.first_offset,
                "nextOffset": segment.next_offset,
                "bytes": segment.bytes,
                "batches": segment.batches,
                "records": segment.records,
                "newestTimestamp": segment.newest_ms,
            })
        })
        .collect();
    let producers: Vec<Value> = (facts.producers.iter())
        .map(|producer| {
            json!({
                "id": producer.id,
                "epoch": producer.epoch,
                "lastSequence": producer.last_sequence,
                "lastOffset": producer.last_offset,
            })
        })
        .collect();
    json!({
        "topic": topic.name,
        "topicId": topic.id,
        "settings": topic.settings,
        "partition": place.number,
        "startOffset": facts.start_offset,
        "endOffset": facts.end_offset,
        "syncedOffset": facts.synced_offset,
        "segments": segments,
        "producers": producers,
        "findings": facts.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// In a table these stand below the partition.
fn tell(findings: &[Finding], out: &mut Output) -> Result<()> {
    if out.is_json() {
        return Ok(());
    }
    for finding in findings {
        out.line(format!("     {}: {finding}", severity(finding)))?;
    }
    Ok(())
}

fn time(ms: i64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    match OffsetDateTime::from_unix_timestamp_nanos(nanos) {
        Ok(at) if ms >= 0 => show::instant(at),
        _ => "-".to_owned(),
    }
}
