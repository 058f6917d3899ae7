//! How far generations are: the list, and a rebuild's bar.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use compline_event::{Position, Token};
use compline_eventlog::Log;
use compline_readmodel::{Database, Generation};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    inspect::{Checkpoint, Inspector},
    lag,
    output::Output,
    role::ProjectionName,
    show,
};

const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Without a terminal, one line each so often.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// A rebuild that moves by nothing for so long may have nobody who projects it.
const STILL: Duration = Duration::from_secs(15);

pub(super) async fn list(
    name: Option<ProjectionName>,
    log: &Log,
    database: &Database,
    out: &mut Output,
) -> Result<()> {
    let mut inspector = Inspector::connect(database).await?;
    let checkpoints = inspector.checkpoints().await?;
    let lags = lag::measure(log, &checkpoints, OffsetDateTime::now_utc()).await?;
    let mut rows = Vec::new();
    for name in ProjectionName::ALL
        .into_iter()
        .filter(|each| name.is_none_or(|name| name == *each))
    {
        for standing in inspector.generations(name.as_str()).await? {
            let mine = lags
                .iter()
                .filter(|lag| lag.reader == name.as_str() && lag.generation == standing.generation);
            let behind: u64 = mine.map(|lag| lag.behind).sum();
            if out.is_json() {
                out.json(&json!({
                    "projection": name.as_str(),
                    "generation": standing.generation,
                    "live": standing.is_live,
                    "previous": standing.is_previous,
                    "schema": standing.schema,
                    "createdAt": show::instant(standing.created_at),
                    "layout": standing.layout,
                    "applied": standing.applied,
                    "behind": behind,
                    "parkedKeys": standing.parked_keys,
                }))?;
                continue;
            }
            let read = match (standing.is_live, standing.is_previous) {
                (true, _) => "now",
                (_, true) => "before",
                _ => "-",
            };
            rows.push(vec![
                name.as_str().to_owned(),
                standing.generation.to_string(),
                read.to_owned(),
                show::instant(standing.created_at),
                show::count(u64::try_from(standing.applied).unwrap_or(0)),
                show::count(behind),
                standing.parked_keys.to_string(),
                standing.schema,
            ]);
        }
    }
    if !out.is_json() {
        let columns = [
            "projection",
            "generation",
            "read",
            "made",
            "events",
            "behind",
            "parked keys",
            "schema",
        ];
        out.table(&columns, rows)?;
    }
    Ok(())
}

/// Shows how a new generation catches up, until it has.
pub(super) async fn follow(
    name: ProjectionName,
    generation: Generation,
    log: &Log,
    database: &Database,
    out: &mut Output,
) -> Result<()> {
    let name = name.as_str();
    let mut inspector = Inspector::connect(database).await?;
    let began = Instant::now();
    let bar = Bar::new(name, generation);
    let mut moved = (0, began);
    loop {
        let mut checkpoints = inspector.checkpoints().await?;
        checkpoints.retain(|at| at.reader == name && at.generation == generation);
        ensure!(
            !checkpoints.is_empty(),
            "generation {generation} of {name} was dropped meanwhile"
        );
        let (done, all) = progress(log, &checkpoints).await?;
        bar.show(done, all);
        if done >= all {
            break;
        }
        if done != moved.0 {
            moved = (done, Instant::now());
        } else if moved.1.elapsed() > STILL {
            moved.1 = Instant::now();
            out.note(&format!(
                "nothing has moved for {} s: does a projector run (`compline projector {name}`, or `up`)?",
                STILL.as_secs()
            ))?;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let (events, seconds) = (bar.finish(), began.elapsed().as_secs_f64());
    match out.is_json() {
        true => out.json(&json!({
            "projection": name,
            "generation": generation,
            "events": events,
            "seconds": seconds,
        }))?,
        false => out.line(format!(
            "generation {generation} of {name} has caught up: {} events in {}. \
             `compline projection compare {name} --generation {generation}` compares it with the live \
             one, `promote` makes readers read it",
            show::count(events),
            show::age(seconds)
        ))?,
    }
    Ok(())
}

/// The log's ends of what a generation reads and the live one does not.
pub(super) async fn only_its(
    name: ProjectionName,
    generation: Generation,
    log: &Log,
    database: &Database,
) -> Result<Token> {
    let mut checkpoints = Inspector::connect(database).await?.checkpoints().await?;
    checkpoints.retain(|at| at.reader == name.as_str());
    let is_read = |at: &Checkpoint| {
        let same = |live: &&Checkpoint| (live.topic, live.partition) == (at.topic, at.partition);
        checkpoints
            .iter()
            .filter(|live| live.live)
            .any(|live| same(&live))
    };
    let only: Vec<_> = checkpoints
        .iter()
        .filter(|at| at.generation == generation && !is_read(at))
        .map(|at| (at.topic, at.partition))
        .collect();
    let ends = log.ends(&only).await?.into_iter();
    Ok(ends
        .map(|(topic, partition, next_offset)| Position {
            topic,
            partition,
            next_offset,
        })
        .collect())
}

/// Records behind the checkpoints, and records in the log.
async fn progress(log: &Log, checkpoints: &[Checkpoint]) -> Result<(u64, u64)> {
    let places: Vec<_> = checkpoints
        .iter()
        .map(|at| (at.topic, at.partition))
        .collect();
    let ends = log.ends(&places).await?;
    let all: i64 = ends.iter().map(|(_, _, end)| end.0).sum();
    let done: i64 = checkpoints.iter().map(|at| at.next_offset.0).sum();
    Ok((
        u64::try_from(done).unwrap_or(0),
        u64::try_from(all).unwrap_or(0),
    ))
}

/// On a terminal a bar, else a line now and then.
struct Bar {
    bar: ProgressBar,
    title: String,
    told: std::cell::Cell<Instant>,
}

impl Bar {
    fn new(name: &str, generation: Generation) -> Self {
        let title = format!("{name} generation {generation}");
        let template = "{msg} {wide_bar} {human_pos}/{human_len} events, {per_sec}, {eta} left";
        let style =
            ProgressStyle::with_template(template).expect("the template is part of the source");
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(0)
                .with_style(style)
                .with_message(title.clone()),
            false => ProgressBar::hidden(),
        };
        Self {
            bar,
            title,
            told: std::cell::Cell::new(Instant::now()),
        }
    }

    fn show(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.told.get().elapsed() > TELL_INTERVAL {
            self.told.set(Instant::now());
            eprintln!(
                "{}: {} of {} events, {} left",
                self.title,
                show::count(done),
                show::count(all),
                show::age(self.bar.eta().as_secs_f64())
            );
        }
    }

    /// How many events there were.
    fn finish(&self) -> u64 {
        self.bar.finish_and_clear();
        self.bar.position()
    }
}
