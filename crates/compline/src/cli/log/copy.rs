//! `compline log copy`: a whole log into another one, every record to its offset.

use std::{
    io::IsTerminal as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use compline_event::Topic;
use compline_eventlog::{
    Bounds,
    copy::{CopiedGroup, Copier, Place, Progress, Verified},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::end::{End, EndName, Kind};
use crate::{
    client::Target,
    config::Settings,
    output::Output,
    role::{migrate, reach},
    show,
};

const DRAW_EVERY: Duration = Duration::from_millis(100);
/// A log that still grows after so many is one that is written to.
const MOST_ROUNDS: u32 = 10;

/// What is copied, and where to.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing changes its place: every record gets the offset that it has, so that the same
database, tokens and checkpoints go on with the copy. An interrupted copy is begun again
and goes on; repeated, it copies what came since. What writes to the source must be
stopped before the last time.")]
pub(in crate::cli) struct Copy {
    /// The log to copy: a data folder, or brokers as host:port
    #[arg(long, value_name = "LOG")]
    from: EndName,
    /// Where it goes: a data folder, which may be new, or brokers
    #[arg(long, value_name = "LOG")]
    to: EndName,
    /// Only this topic; may be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<Topic>,
    /// Of the source's topics [default: the configuration's log.prefix]
    #[arg(long, value_name = "TEXT")]
    from_prefix: Option<String>,
    /// Of the target's topics [default: the configuration's log.prefix]
    #[arg(long, value_name = "TEXT")]
    to_prefix: Option<String>,
    /// Replicas of topics that are made on brokers [default: 3 where there are so many
    /// nodes, else log.replication]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10))]
    replication: Option<u16>,
}

/// What a copy came to.
struct Done {
    took: Duration,
    progress: Arc<Progress>,
    verified: Vec<Verified>,
    groups: Vec<CopiedGroup>,
    /// Records that the source has got since it was compared.
    grown: u64,
}

impl Copy {
    pub(in crate::cli) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let cluster = Settings::load(target.config.as_deref())?.log;
        if self.from == self.to && self.from_prefix == self.to_prefix {
            bail!("--from and --to are the same log");
        }
        let from = End::source(&self.from, &cluster).await.context("--from")?;
        let opened = End::target(&self.to, &cluster).await.context("--to");
        match opened {
            Ok(to) => self.between(from, to, cluster.replication, out).await,
            Err(error) => closed(from, Err(error)).await,
        }
    }

    /// Whatever comes of it, both ends are closed in order.
    async fn between(
        self,
        mut from: End,
        mut to: End,
        replication: u16,
        out: &mut Output,
    ) -> Result<()> {
        if let Some(prefix) = &self.from_prefix {
            from.config.prefix.clone_from(prefix);
        }
        if let Some(prefix) = &self.to_prefix {
            to.config.prefix.clone_from(prefix);
        }
        if let Kind::Brokers { nodes } = to.kind {
            to.config.replication = reach::copies(self.replication, nodes, replication);
        }
        let told = self.tell(&from, &to, out).await;
        let told = closed(to, told).await;
        closed(from, told).await
    }

    async fn tell(&self, from: &End, to: &End, out: &mut Output) -> Result<()> {
        if let Kind::Running = to.kind {
            bail!("{to} would be written to by two: stop it first");
        }
        let done = copy(from, to, &self.topic).await?;
        match out.is_json() {
            true => tell_machines(&done, out)?,
            false => tell_people(&done, from, to, out)?,
        }
        out.flush()?;
        if done.grown > 0 {
            bail!(
                "{from} has got {} more records since it was compared: stop what writes to it and \
                 run the same command again, which copies only the rest",
                show::count(done.grown)
            );
        }
        Ok(())
    }
}

/// Closes an end. What went wrong with it is the cause of what went wrong so far.
async fn closed(end: End, so_far: Result<()>) -> Result<()> {
    match (end.close().await, so_far) {
        (Err(cause), Err(so_far)) => Err(cause.context(format!("{so_far:#}"))),
        (closed, so_far) => so_far.and(closed),
    }
}

async fn copy(from: &End, to: &End, topics: &[Topic]) -> Result<Done> {
    let began = Instant::now();
    let copier = Copier::new(from.config.clone(), to.config.clone(), topics)?;
    let survey = copier.prepare().await?;
    survey
        .check()
        .map_err(|error| anyhow!("{to}: {error}; {}", migrate::remedy(&to.config)))?;
    let mut source = copier.source().await?;
    // What is appended meanwhile is copied in further rounds, until there is none, or
    // it shows that there always will be.
    for round in 1.. {
        let left = left(&source, &copier.target().await?);
        let progress = copier.progress();
        let copied = move || progress.records() + progress.placeholders();
        let bar = bar("copying", left, copied);
        copier.copy(&source).await?;
        drop(bar);
        let now = copier.source().await?;
        if now == source || round == MOST_ROUNDS {
            break;
        }
        source = now;
    }
    let records: u64 = source.iter().map(|(_, held)| count(*held)).sum();
    let progress = copier.progress();
    let bar = bar("comparing", records, move || progress.verified());
    let verified = copier.verify(&source).await?;
    drop(bar);
    let groups = copier.groups().await?;
    let ends = |of: &[(Place, Bounds)]| of.iter().map(|(_, held)| held.end.0).sum::<i64>();
    let grown = ends(&copier.source().await?) - ends(&source);
    Ok(Done {
        took: began.elapsed(),
        progress: copier.progress(),
        verified,
        groups,
        grown: u64::try_from(grown).unwrap_or(0),
    })
}

/// Offsets that the target has yet to get.
fn left(source: &[(Place, Bounds)], target: &[(Place, Bounds)]) -> u64 {
    let pairs = source.iter().zip(target);
    let left = pairs.map(|((_, from), (_, to))| from.end.0 - to.end.0);
    left.map(|left| u64::try_from(left).unwrap_or(0)).sum()
}

fn count(bounds: Bounds) -> u64 {
    u64::try_from(bounds.end.0 - bounds.start.0).unwrap_or(0)
}

/// Moves until it is dropped.
struct Bar {
    bar: ProgressBar,
    drawing: tokio::task::JoinHandle<()>,
}

fn bar(doing: &'static str, of: u64, done: impl Fn() -> u64 + Send + 'static) -> Bar {
    if !std::io::stderr().is_terminal() || of == 0 {
        return Bar {
            bar: ProgressBar::hidden(),
            drawing: tokio::spawn(async {}),
        };
    }
    let template = "{msg} {wide_bar} {human_pos}/{human_len} records, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is part of the source");
    let bar = ProgressBar::new(of).with_style(style).with_message(doing);
    let drawn = bar.clone();
    let before = done();
    let drawing = tokio::spawn(async move {
        loop {
            drawn.set_position(done() - before);
            tokio::time::sleep(DRAW_EVERY).await;
        }
    });
    Bar { bar, drawing }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}

fn tell_people(done: &Done, from: &End, to: &End, out: &mut Output) -> Result<()> {
    let rows = (done.verified.iter())
        .map(|one| {
            vec![
                one.place.to_string(),
                show::count(u64::try_from(one.bounds.start.0).unwrap_or(0)),
                show::count(u64::try_from(one.bounds.end.0).unwrap_or(0)),
                show::count(one.records),
                show::bytes(one.bytes),
                hex::encode(&one.sha256[..8]),
            ]
        })
        .collect();
    let columns = ["partition", "start", "end", "records", "bytes", "sha-256"];
    out.table(&columns, rows)?;
    let seconds = done.took.as_secs_f64();
    let copied = done.progress.records();
    out.line("")?;
    out.line(format!(
        "copied: {} records ({}), in {seconds:.1} s with the comparison",
        show::count(copied),
        show::bytes(done.progress.bytes()),
    ))?;
    let placeholders = done.progress.placeholders();
    if placeholders > 0 {
        out.line(format!(
            "begun later: {} offsets whose records had expired were taken up and deleted",
            show::count(placeholders)
        ))?;
    }
    let groups: Vec<&str> = done.groups.iter().map(|g| g.name.as_str()).collect();
    if !groups.is_empty() {
        out.line(format!("committed offsets of: {}", groups.join(", ")))?;
    }
    let records: u64 = done.verified.iter().map(|one| one.records).sum();
    out.line(format!(
        "equal: {} records of {from} stand in {to}, each at its offset",
        show::count(records)
    ))?;
    if !matches!(from.kind, Kind::Opened(_)) && done.grown == 0 {
        out.note("nothing was appended while they were compared; what writes to the source must stay stopped from here on")?;
    }
    Ok(())
}

fn tell_machines(done: &Done, out: &mut Output) -> Result<()> {
    for one in &done.verified {
        out.json(&json!({
            "topic": one.place.topic.as_str(),
            "partition": one.place.partition.0,
            "start": one.bounds.start.0,
            "end": one.bounds.end.0,
            "records": one.records,
            "bytes": one.bytes,
            "sha256": hex::encode(one.sha256),
        }))?;
    }
    out.json(&json!({
        "copiedRecords": done.progress.records(),
        "copiedBytes": done.progress.bytes(),
        "placeholders": done.progress.placeholders(),
        "seconds": done.took.as_secs_f64(),
        "groups": done.groups.iter().map(|group| &group.name).collect::<Vec<_>>(),
        "equal": true,
        "grownSince": done.grown,
    }))?;
    Ok(())
}
