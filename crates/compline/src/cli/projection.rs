//! `compline projection`: generations of read models, made, compared and switched
//! while people read.

pub(super) mod compare;
mod progress;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use compline_activity::ActivityTrail;
use compline_ad_status::AdStatus;
use compline_event::Token;
use compline_eventlog::TopicSpec;
use compline_readmodel::{
    Database, Generation, Steward, StewardError,
    generation::Standing,
    steward::{Promotion, Switched},
};
use compline_tenancy::Tenancy;
use serde_json::json;

use super::{log::LogTarget, status::database};
use crate::{client::Target, output::Output, role::ProjectionName, show};

/// Generations of read models: each is a Postgres schema that is projected beside
/// the others, and one of them is read.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A rebuild goes: `rebuild NAME` makes a new generation, which the projectors fold from the
log's beginning while readers go on with the live one; `compare NAME` shows where the two
differ at equal positions; `promote NAME` makes readers read it, `rollback NAME` makes
them read the former one again; `drop NAME` takes away the one that is not needed.")]
pub(super) enum ProjectionCommand {
    /// Show every generation: which is read, how far each is behind, what is parked
    List {
        #[arg(value_enum)]
        name: Option<ProjectionName>,
        #[command(flatten)]
        log: LogTarget,
    },
    /// Make a new generation and follow it until it has caught up; it goes on without
    /// this command
    Rebuild {
        #[arg(value_enum)]
        name: ProjectionName,
        /// Only make it
        #[arg(long)]
        no_wait: bool,
        /// Though another one is being rebuilt
        #[arg(long)]
        another: bool,
        #[command(flatten)]
        log: LogTarget,
    },
    /// Show where a generation differs from the live one at equal positions: 1 when it
    /// does
    Compare {
        #[command(flatten)]
        which: Which,
        /// Most differing rows shown of each table
        #[arg(long, value_name = "N", default_value_t = 10)]
        rows: usize,
        #[command(flatten)]
        patience: Patience,
    },
    /// Make readers read a generation, once it has caught up
    Promote {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        parked: Parked,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        log: LogTarget,
    },
    /// Make readers read what they read before the last promote
    Rollback {
        #[arg(value_enum)]
        name: ProjectionName,
        #[command(flatten)]
        parked: Parked,
        #[command(flatten)]
        patience: Patience,
    },
    /// Take away a generation that is not read: its tables, positions and parked keys
    Drop {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    #[arg(value_enum)]
    name: ProjectionName,
    /// [default: the only one beside the live one]
    #[arg(long, value_name = "N")]
    generation: Option<Generation>,
}

#[derive(Debug, Args)]
pub(super) struct Parked {
    /// A parked key, as `topic:key`, whose rows may stay behind; may be repeated
    #[arg(long, value_name = "KEY")]
    with_parked: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Patience {
    /// How long it is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    within: u64,
}

impl Patience {
    fn within(&self) -> Duration {
        Duration::from_secs(self.within)
    }
}

impl ProjectionCommand {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let database = database(target)?;
        match self {
            Self::List { name, log } => {
                progress::list(name, &log.open(target)?, &database, out).await
            }
            Self::Rebuild {
                name,
                no_wait,
                another,
                log,
            } => {
                let log = log.open(target)?;
                let generation = rebuild(name, another, &database).await?;
                if no_wait {
                    return tell_made(name, generation, out);
                }
                progress::follow(name, generation, &log, &database, out).await
            }
            Self::Compare {
                which,
                rows,
                patience,
            } => {
                let (mut steward, generation) = which.take(&database).await?;
                compare::run(&mut steward, generation, rows, patience.within(), out).await
            }
            Self::Promote {
                which,
                parked,
                patience,
                log,
            } => {
                let (mut steward, generation) = which.take(&database).await?;
                let log = log.open(target)?;
                let also = progress::only_its(which.name, generation, &log, &database).await?;
                let promotion = promotion(parked, &patience, also);
                let promoted = steward.promote(generation, &promotion).await;
                tell_switched(which.name, advised(promoted)?, out)
            }
            Self::Rollback {
                name,
                parked,
                patience,
            } => {
                let mut steward = Steward::take(&database, name.as_str()).await?;
                let promotion = promotion(parked, &patience, Token::default());
                let switched = steward.rollback(&promotion).await;
                tell_switched(name, advised(switched)?, out)
            }
            Self::Drop { which } => {
                let (mut steward, generation) = which.take(&database).await?;
                steward.drop_generation(generation).await?;
                match out.is_json() {
                    true => out.json(&json!({
                        "projection": which.name.as_str(), "dropped": generation,
                    }))?,
                    false => out.line(format!(
                        "generation {generation} of {} is dropped",
                        which.name.as_str()
                    ))?,
                }
                Ok(())
            }
        }
    }
}

impl Which {
    /// The projection for this command alone, and the generation that is meant.
    async fn take(&self, database: &Database) -> Result<(Steward, Generation)> {
        let mut steward = Steward::take(database, self.name.as_str()).await?;
        if let Some(generation) = self.generation {
            return Ok((steward, generation));
        }
        let standing = steward.standing().await?;
        let beside: Vec<&Standing> = standing.iter().filter(|each| !each.is_live).collect();
        let name = self.name.as_str();
        match beside[..] {
            [only] => Ok((steward, only.generation)),
            [] => bail!(
                "{name} has one generation, which is read; `compline projection rebuild {name}` \
                 makes another"
            ),
            _ => {
                let numbers: Vec<String> = beside
                    .iter()
                    .map(|each| each.generation.to_string())
                    .collect();
                bail!(
                    "{name} has several generations beside the live one, name one with \
                     --generation: {}",
                    numbers.join(", ")
                )
            }
        }
    }
}

fn promotion(parked: Parked, patience: &Patience, also: Token) -> Promotion {
    Promotion {
        with_parked: parked.with_parked,
        also,
        within: patience.within(),
    }
}

async fn rebuild(name: ProjectionName, another: bool, database: &Database) -> Result<Generation> {
    let mut steward = Steward::take(database, name.as_str()).await?;
    if let Some(begun) = under_way(&steward.standing().await?).filter(|_| !another) {
        let name = name.as_str();
        bail!(
            "generation {begun} of {name} is being rebuilt already and goes on by itself: \
             `compline projection list {name}` shows how far it is, `compline projection drop \
             {name} --generation {begun}` takes it away, --another makes one more"
        );
    }
    let partitions_of = |topic| TopicSpec::of(topic).partitions;
    let made = match name {
        ProjectionName::AdStatus => steward.rebuild::<AdStatus>(partitions_of).await,
        ProjectionName::Activity => steward.rebuild::<ActivityTrail>(partitions_of).await,
        ProjectionName::Tenancy => steward.rebuild::<Tenancy>(partitions_of).await,
    };
    Ok(made?)
}

/// The newest generation that was made since the one that is read.
fn under_way(standing: &[Standing]) -> Option<Generation> {
    let live = standing.iter().find(|each| each.is_live)?.generation;
    let others = standing.iter().filter(|each| !each.is_previous);
    let newest = others.map(|each| each.generation).max()?;
    (newest > live).then_some(newest)
}

fn tell_made(name: ProjectionName, generation: Generation, out: &mut Output) -> Result<()> {
    let name = name.as_str();
    match out.is_json() {
        true => out.json(&json!({ "projection": name, "generation": generation }))?,
        false => out.line(format!(
            "generation {generation} of {name} is made; `compline projection list` shows how far it is"
        ))?,
    }
    Ok(())
}

fn tell_switched(name: ProjectionName, switched: Switched, out: &mut Output) -> Result<()> {
    let Switched { from, to, locked } = switched;
    let name = name.as_str();
    match out.is_json() {
        true => out.json(&json!({
            "projection": name,
            "from": from,
            "to": to,
            "lockedSeconds": locked.as_secs_f64(),
        }))?,
        false => out.line(format!(
            "generation {to} of {name} is read now, before it was {from}; projecting {from} waited \
             {} for it, reading waited for nothing. `compline projection rollback {name}` goes back",
            show::age(locked.as_secs_f64())
        ))?,
    }
    Ok(())
}

/// What to do about a refusal.
fn advised<T>(result: Result<T, StewardError>) -> Result<T> {
    result.map_err(|error| match &error {
        StewardError::Parked { keys, .. } => {
            let first = keys.first().map_or("", String::as_str).to_owned();
            anyhow::Error::new(error).context(format!(
                "redrive them (`compline parked redrive`), or name each that may stay behind \
                 (--with-parked {first})"
            ))
        }
        _ => error.into(),
    })
}
