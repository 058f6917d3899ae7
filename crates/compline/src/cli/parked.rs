//! `compline parked`: keys that were set aside, and what is done about them.

mod again;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use compline_readmodel::{
    Database, Role,
    generation::SCHEMA,
    park::desk::{self, ParkedKey},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use self::again::Hand;
use super::{
    log::LogTarget,
    status::{database, postgres},
};
use crate::{
    client::Target,
    output::{Output, printable},
    replay::Decoder,
    show,
};

/// Keys that were set aside because an event of theirs cannot be applied, with every
/// later event of theirs.
#[derive(Debug, Subcommand)]
pub(super) enum ParkedCommand {
    /// Show every parked key: who set it aside, since when, why
    List,
    /// Show a key's events decoded, and what failed, for each who has set it aside
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        log: LogTarget,
    },
    /// Apply a key's events again, in order, with this version
    Redrive {
        #[command(flatten)]
        which: WhichOrAll,
        /// Do everything but keep it
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        log: LogTarget,
    },
    /// Give a key's events up: they are never applied, and its later ones are
    Discard {
        #[command(flatten)]
        which: Which,
        /// Why; it is kept in compline.discarded_key
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// As `parked list` shows it: topic:key
    #[arg(value_name = "KEY")]
    key: String,
    /// Who set it aside, where there are several [example: ad-status/2, engine:ad]
    #[arg(long, value_name = "READER")]
    reader: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct WhichOrAll {
    /// As `parked list` shows it: topic:key
    #[arg(
        value_name = "KEY",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    key: Option<String>,
    /// All parked keys
    #[arg(long)]
    all: bool,
    /// Of whom, where there are several [example: ad-status/2, engine:ad]
    #[arg(long, value_name = "READER")]
    reader: Option<String>,
}

impl ParkedCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let database = database(target)?;
        let mut conn = connect(&database).await?;
        let parked = desk::list(&mut conn).await?;
        match self {
            Self::List => list(&parked, out),
            Self::Show { which, log } => {
                let log = log.open(target)?;
                for (shown, key) in which.all(&parked)?.into_iter().enumerate() {
                    if shown > 0 && !out.is_json() {
                        out.line("")?;
                    }
                    let offsets = desk::offsets(&mut conn, &key.place, &key.key).await?;
                    show(key, &again::read(&log, &key.place, &offsets).await?, out)?;
                }
                Ok(())
            }
            Self::Redrive {
                which,
                dry_run,
                log,
            } => {
                let chosen = which.some(&parked)?;
                let as_owner = postgres(target)?.database_as_owner()?;
                let hand = Hand::new(log.open(target)?, as_owner, dry_run);
                redrive(&hand, &chosen, dry_run, out).await
            }
            Self::Discard { which, reason } => {
                ensure!(!reason.trim().is_empty(), "--reason is empty: say why");
                let key = which.one(&parked)?;
                let records = desk::discard(&mut conn, &key.place, &key.key, &reason).await?;
                ensure!(
                    records > 0,
                    "{} was redriven or discarded meanwhile",
                    key.name()
                );
                match out.is_json() {
                    true => out.json(&json!({
                        "reader": reader_of(key), "key": key.name(), "discarded": records,
                    }))?,
                    false => out.line(format!(
                        "{} has given up {} of {}; later ones are applied again",
                        reader_of(key),
                        events(records as u64),
                        printable(&key.name()),
                    ))?,
                }
                Ok(())
            }
        }
    }
}

async fn connect(database: &Database) -> Result<PgConnection> {
    let options = database.options(Role::Owner, SCHEMA);
    PgConnection::connect_with(&options)
        .await
        .context("the database")
}

impl Which {
    /// At least one.
    fn all<'a>(&self, parked: &'a [ParkedKey]) -> Result<Vec<&'a ParkedKey>> {
        let found = matching(parked, Some(&self.key), self.reader.as_deref());
        ensure!(!found.is_empty(), nothing(&self.key, parked));
        Ok(found)
    }

    fn one<'a>(&self, parked: &'a [ParkedKey]) -> Result<&'a ParkedKey> {
        let found = self.all(parked)?;
        match found[..] {
            [one] => Ok(one),
            _ => {
                let readers: Vec<String> = found.iter().map(|key| reader_of(key)).collect();
                bail!(
                    "several have set {} aside, name one with --reader: {}",
                    self.key,
                    readers.join(", ")
                )
            }
        }
    }
}

impl WhichOrAll {
    fn some<'a>(&self, parked: &'a [ParkedKey]) -> Result<Vec<&'a ParkedKey>> {
        let found = matching(parked, self.key.as_deref(), self.reader.as_deref());
        match (&self.key, found.is_empty()) {
            (Some(key), true) => bail!("{}", nothing(key, parked)),
            _ => Ok(found),
        }
    }
}

fn matching<'a>(
    parked: &'a [ParkedKey],
    key: Option<&str>,
    reader: Option<&str>,
) -> Vec<&'a ParkedKey> {
    let is_meant = |each: &&ParkedKey| {
        key.is_none_or(|key| each.name() == key)
            && reader
                .is_none_or(|reader| reader == reader_of(each) || reader == each.place.projection)
    };
    parked.iter().filter(is_meant).collect()
}

fn nothing(key: &str, parked: &[ParkedKey]) -> String {
    match parked.is_empty() {
        true => format!("{key} is not parked; nothing is"),
        false => format!(
            "{key} is not parked; a key is named as `compline parked list` shows it, topic:key"
        ),
    }
}

/// `ad-status/2`, `engine:ad`.
fn reader_of(key: &ParkedKey) -> String {
    let place = &key.place;
    match place.projection.starts_with("engine:") {
        true => place.projection.clone(),
        false => format!("{}/{}", place.projection, place.generation),
    }
}

fn list(parked: &[ParkedKey], out: &mut Output) -> Result<()> {
    if out.is_json() {
        for key in parked {
            out.json(&to_json(key))?;
        }
        return Ok(());
    }
    if parked.is_empty() {
        return Ok(out.line("nothing is parked")?);
    }
    let rows = parked
        .iter()
        .map(|key| {
            vec![
                reader_of(key),
                key.name(),
                key.records.to_string(),
                show::instant(key.parked_at),
                key.code_version.clone(),
                key.reason.clone(),
            ]
        })
        .collect();
    out.table(
        &["reader", "key", "events", "since", "version", "why"],
        rows,
    )?;
    Ok(())
}

fn show(key: &ParkedKey, records: &[compline_eventlog::Record], out: &mut Output) -> Result<()> {
    let mut decoder = Decoder::default();
    if out.is_json() {
        let mut shown = to_json(key);
        let events: Vec<Value> = records
            .iter()
            .map(|record| decoder.to_json(record))
            .collect();
        shown["records"] = events.into();
        return Ok(out.json(&shown)?);
    }
    let place = &key.place;
    out.pairs(&[
        ("reader", reader_of(key)),
        ("key", key.name()),
        (
            "tenant",
            key.tenant
                .map_or_else(|| "-".to_owned(), |tenant| tenant.to_string()),
        ),
        ("since", show::instant(key.parked_at)),
        (
            "failed at",
            format!("{}/{}@{}", place.topic, place.partition, key.first_offset),
        ),
        ("failed under", format!("version {}", key.code_version)),
        ("why", key.reason.clone()),
    ])?;
    out.line("")?;
    for record in records {
        out.line(printable(&decoder.to_line(record)))?;
    }
    Ok(())
}

fn to_json(key: &ParkedKey) -> Value {
    json!({
        "reader": reader_of(key),
        "key": key.name(),
        "tenantId": key.tenant.map(|tenant| tenant.to_string()),
        "topic": key.place.topic.as_str(),
        "partition": key.place.partition.0,
        "firstOffset": key.first_offset.0,
        "events": key.records,
        "parkedAt": show::instant(key.parked_at),
        "codeVersion": key.code_version,
        "reason": key.reason,
    })
}

/// # Errors
/// Also when one of them still cannot be applied; the others are.
async fn redrive(
    hand: &Hand,
    chosen: &[&ParkedKey],
    dry_run: bool,
    out: &mut Output,
) -> Result<()> {
    let mut failed = 0;
    for key in chosen {
        let (reader, name) = (reader_of(key), key.name());
        let done = hand.redrive(key).await;
        if out.is_json() {
            out.json(&json!({
                "reader": reader,
                "key": name,
                "applied": done.as_ref().ok().filter(|_| !dry_run).map(|done| done.records),
                "wouldApply": done.as_ref().ok().filter(|_| dry_run).map(|done| done.records),
                "problem": done.as_ref().err().map(|error| format!("{error:#}")),
            }))?;
        }
        match done {
            Ok(_) if out.is_json() => {}
            Ok(done) => {
                let how = if dry_run {
                    "would be applied"
                } else {
                    "applied"
                };
                let name = printable(&name);
                out.line(format!(
                    "{reader} {name}: {} {how}",
                    events(done.records as u64)
                ))?;
            }
            Err(error) => {
                failed += 1;
                if !out.is_json() {
                    out.line(printable(&format!(
                        "{reader} {name}: stays parked, {error:#}"
                    )))?;
                }
            }
        }
    }
    out.flush()?;
    match failed {
        0 if chosen.is_empty() && !out.is_json() => Ok(out.line("nothing is parked")?),
        0 => Ok(()),
        _ => bail!(
            "{failed} of {} keys stay parked: mend what refuses them, or give them up \
             (`compline parked discard`)",
            chosen.len()
        ),
    }
}

fn events(count: u64) -> String {
    match count {
        1 => "1 event".to_owned(),
        _ => format!("{} events", show::count(count)),
    }
}
