//! The network between each role and the log, and between each role and Postgres: cut,
//! slow, reset, and half-open, by toxiproxy, under load. Each role is one process, so that
//! no other hides one that hangs. When the fault is taken away, the time is taken until
//! everything has caught up; at the end the verifier of `kill` compares every row.
//!
//! `FAULTS_ONLY` names the pairs and faults, as `engine-postgres:half-open`, comma-separated,
//! any part of a name being enough; `dev/faults` runs all of them.

mod advertised;
mod fault;
mod reads;
mod recovery;
mod toxiproxy;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use self::{
    fault::{Fault, Side},
    reads::Reads,
    toxiproxy::{Proxy, Toxiproxy},
};
use crate::{
    load::Load,
    town::{Town, postgres::Postgres},
    verdict,
};

const ACCOUNTS: usize = 4;
/// All processes share the machine with the load.
const PAUSE: Duration = Duration::from_millis(25);
/// Between two faults: what one left behind is not the next one's.
const REST: Duration = Duration::from_secs(1);

/// Who needs whom.
const PAIRS: [(&str, Side); 12] = [
    ("ingress", Side::Log),
    ("engine", Side::Log),
    ("ad-status", Side::Log),
    ("activity", Side::Log),
    ("tenancy", Side::Log),
    ("command", Side::Log),
    ("engine", Side::Postgres),
    ("ad-status", Side::Postgres),
    ("activity", Side::Postgres),
    ("tenancy", Side::Postgres),
    ("query", Side::Postgres),
    ("command", Side::Postgres),
];

#[ignore = "needs toxiproxy: dev/faults"]
#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_network_does_nothing_is_lost_doubled_or_out_of_order() -> Result<()> {
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let seed = std::env::var("FAULTS_SEED").map_or(Ok(rand::random()), |text| text.parse())?;
    eprintln!("seed {seed} (FAULTS_SEED)");

    let toxiproxy = Toxiproxy::start().await?;
    let mut ways = BTreeMap::new();
    let mut town = Town::found_with(None, 1, async |name, origins| {
        // What the log tells of itself must lead through the proxy as well.
        let proxy = toxiproxy.proxy(&format!("{name}-log")).await?;
        let log = advertised::behind(origins.log, proxy.listens).await?;
        proxy.leads_to(log).await?;
        let bootstrap = proxy.listens.to_string();
        ways.insert((name, Side::Log), proxy);

        let proxy = toxiproxy.proxy(&format!("{name}-postgres")).await?;
        proxy.leads_to(origins.postgres.address()).await?;
        let url = Postgres::url_by(proxy.listens);
        ways.insert((name, Side::Postgres), proxy);
        Ok(vec![
            ("COMPLINE_LOG__BOOTSTRAP".to_owned(), bootstrap),
            ("COMPLINE_POSTGRES__URL".to_owned(), url),
        ])
    })
    .await?;
    let (accounts, keys) = town.audience(ACCOUNTS).await?;
    let load = Load::start(&town.doors("ingress"), accounts, seed, PAUSE)?;
    let reads = Reads::start(town.clients("query", &keys[0])?);

    let mut trial = Trial {
        ways,
        key: keys[1].clone(),
        acknowledged: load.acknowledged.clone(),
        hung: Vec::new(),
    };
    for (role, side) in PAIRS {
        for fault in Fault::ALL {
            let name = format!("{role}-{side}:{fault}");
            if only.is_empty() || only.split(',').any(|part| name.contains(part)) {
                trial.of(&name, role, side, fault, &mut town).await?;
                town.rest(REST).await?;
            }
        }
    }
    let gave_up: Vec<_> = town
        .everybody()
        .filter(|instance| instance.gave_up > 0)
        .map(|instance| format!("{}: {}", instance.name, instance.last_words()))
        .collect();
    let (acknowledged, read) = (load.finish().await?, reads.finish().await?);
    town.ready().await?;
    let verdict = verdict::all(&town.log, &town.database, &acknowledged).await?;
    eprintln!(
        "{} reads answered, {} not; {verdict}",
        read.answered, read.refused
    );
    ensure!(trial.hung.is_empty(), "did not recover: {:?}", trial.hung);
    ensure!(gave_up.is_empty(), "ended by themselves: {gave_up:#?}");
    town.stop().await
}

struct Trial {
    ways: BTreeMap<(&'static str, Side), Proxy>,
    /// Of a tenant that commands and reads.
    key: String,
    acknowledged: Arc<AtomicU64>,
    hung: Vec<String>,
}

impl Trial {
    /// Applies the fault, holds it, takes it away, and waits until all is as it was.
    async fn of(
        &mut self,
        name: &str,
        role: &'static str,
        side: Side,
        fault: Fault,
        town: &mut Town,
    ) -> Result<()> {
        let proxy = &self.ways[&(role, side)];
        fault.begin(proxy).await?;
        town.rest(fault.held()).await?;
        fault.end(proxy).await?;
        let began = Instant::now();
        let recovered = recovery::of(town, &self.key, &self.acknowledged).await;
        // What it left in the way goes only now: it must not have been needed.
        proxy.clean().await?;
        match recovered {
            Ok(()) => eprintln!("{name}: caught up {:.1?} after", began.elapsed()),
            Err(error) => {
                eprintln!("{name}: HANGS: {error:#}");
                self.hung.push(format!("{name}: {error:#}"));
                // The others are tried all the same.
                for instance in town.all_of(role) {
                    eprintln!("{}", instance.last_words());
                    instance.kill(Duration::ZERO)?;
                }
                town.ready().await?;
            }
        }
        Ok(())
    }
}
