//! kill -9 of every role at random moments, each a process of its own and there
//! twice, of the log and of Postgres, under load; meanwhile read models are rebuilt
//! and switched, and Postgres comes back from a backup that is older than the log.
//! Then the verifier of `kill` compares every row of every generation.
//!
//! `SOAK_KILLS` says how often, `SOAK_SEED` when and whom; `dev/soak` runs the long form.

mod commands;
mod own_writes;
mod plan;
mod rolling;
mod steward;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use self::{
    commands::Commands,
    plan::{Event, Plan, Victim},
    steward::Rebuild,
};
use crate::{
    kill::nodes::{kafka, three_nodes},
    load::Load,
    town::{INSTANCES, Town, postgres::Positions},
    verdict,
};

/// A short form.
const KILLS: u32 = 24;
const ACCOUNTS: usize = 4;
/// All processes share the machine with the load.
const PAUSE: Duration = Duration::from_millis(25);

#[ignore = "takes minutes: dev/soak"]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_nothing_is_lost_doubled_or_out_of_order() -> Result<()> {
    soak(None).await
}

/// `dev/soak nodes` starts the nodes and runs this.
#[ignore = "needs three nodes of Apache Kafka: dev/soak nodes"]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_nothing_is_lost_doubled_or_out_of_order() -> Result<()> {
    soak(Some(&three_nodes().await?)).await
}

async fn soak(kafka: Option<&str>) -> Result<()> {
    let told = |name| std::env::var(name).ok();
    let kills = told("SOAK_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    let seed = told("SOAK_SEED").map_or(Ok(rand::random()), |text| text.parse())?;
    eprintln!("{kills} kills, seed {seed} (SOAK_KILLS, SOAK_SEED)");

    let mut town = Town::found(kafka).await?;
    let (accounts, keys) = town.audience(ACCOUNTS).await?;
    let load = Load::start(&town.doors("ingress"), accounts, seed, PAUSE)?;
    let commands = Commands::start(town.clients("command", &keys[0])?);
    let mut soak = Soak {
        rng: StdRng::seed_from_u64(seed),
        killed: BTreeMap::new(),
        tail_lost: 0,
        rebuild: Rebuild::new(town.database.clone()),
    };
    let plan = Plan::of(kills);
    let mut done = 0;
    while done < kills {
        let working = Duration::from_millis(soak.rng.random_range(100..3_000));
        town.rest(working).await?;
        let victim = Victim::any(&mut soak.rng, town.instances.len());
        let died = soak.kill(victim, &mut town).await?;
        for event in plan.events_between(done, done + died) {
            eprintln!("after {} kills: {event:?}", done + died);
            soak.happen(event, &mut town).await?;
        }
        done += died;
    }
    soak.rebuild.finish().await?;
    town.ready().await?;
    let (acknowledged, commanded) = (load.finish().await?, commands.finish().await?);
    commands::are_in_the_log(&commanded, &town.log).await?;
    let verdict = verdict::all(&town.log, &town.database, &acknowledged).await?;

    let gave_up: usize = town.everybody().map(|instance| instance.gave_up).sum();
    eprintln!(
        "{done} kills: {:?}; {} commands answered, 0 lost; Postgres forgot {} records of \
         projectors, which were applied again; {gave_up} starts found nothing to stand on; {}",
        soak.killed,
        commanded.len(),
        soak.tail_lost,
        soak.rebuild,
    );
    eprintln!("{verdict}");
    town.stop().await
}

struct Soak {
    rng: StdRng,
    killed: BTreeMap<&'static str, u32>,
    /// Records that projectors had applied and Postgres forgot.
    tail_lost: i64,
    rebuild: Rebuild,
}

impl Soak {
    /// Gives the number of processes that were killed.
    async fn kill(&mut self, victim: Victim, town: &mut Town) -> Result<u32> {
        let away = self.away();
        match victim {
            Victim::One(index) => {
                let instance = &mut town.instances[index];
                // One that is dead already stays away longer.
                let alive = u32::from(instance.is_alive());
                *self.killed.entry(instance.name).or_default() += alive;
                instance.kill(away)?;
                Ok(alive)
            }
            Victim::Both(index) => {
                let first = index / INSTANCES * INSTANCES;
                let mut kills = 0;
                for index in first..first + INSTANCES {
                    kills += Box::pin(self.kill(Victim::One(index), town)).await?;
                }
                Ok(kills)
            }
            Victim::Log => {
                *self.killed.entry("log").or_default() += 1;
                match &mut town.broker {
                    Some(broker) => broker.kill(away)?,
                    None => {
                        let node = self.rng.random_range(1..=3).to_string();
                        kafka(&["kill", &node]).await?;
                        town.rest(away).await?;
                        kafka(&["start", &node]).await?;
                    }
                }
                Ok(1)
            }
            Victim::Postgres => {
                *self.killed.entry("postgres").or_default() += 1;
                let before = town.postgres.positions().await?;
                town.postgres.kill().await?;
                town.rest(away).await?;
                town.postgres.bring_back().await?;
                let after = town.postgres.positions().await?;
                self.tail_lost += forgotten(&before, &after)?;
                Ok(1)
            }
            Victim::Everything => {
                let mut kills = 0;
                for index in 0..town.instances.len() {
                    kills += Box::pin(self.kill(Victim::One(index), town)).await?;
                }
                for victim in [Victim::Log, Victim::Postgres] {
                    kills += Box::pin(self.kill(victim, town)).await?;
                }
                Ok(kills)
            }
        }
    }

    /// At times it is back before anybody has missed it.
    fn away(&mut self) -> Duration {
        match self.rng.random_bool(0.5) {
            true => Duration::ZERO,
            false => Duration::from_millis(self.rng.random_range(0..4_000)),
        }
    }

    async fn happen(&mut self, event: Event, town: &mut Town) -> Result<()> {
        match event {
            Event::BackUp => town.postgres.back_up().await?,
            Event::Restore => {
                // As ARCHITECTURE.md has it: no engine runs meanwhile.
                for engine in town.all_of("engine") {
                    engine.kill(Duration::ZERO)?;
                }
                town.postgres.restore().await?;
                for engine in town.all_of("engine") {
                    engine.tend()?;
                }
            }
            Event::Rebuild => self.rebuild.begin().await?,
            Event::Promote => self.rebuild.promote().await?,
            Event::Drop => self.rebuild.drop_former().await?,
        }
        Ok(())
    }
}

/// Records that stood behind checkpoints before, and do so no more. An engine's are
/// told to others, so none of those may be among them.
fn forgotten(before: &Positions, after: &Positions) -> Result<i64> {
    let mut records = 0;
    for (place, before) in before {
        let after = after.get(place).copied().unwrap_or_default();
        let is_engine = place.0.starts_with("engine:");
        ensure!(
            !is_engine || after >= *before,
            "{place:?} went back from {before} to {after}"
        );
        records += (before - after).max(0);
    }
    Ok(records)
}
