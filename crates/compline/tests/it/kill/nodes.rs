//! kill -9 of one of three Kafka nodes at random moments under the whole street, which
//! itself goes on; then the same verifier.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{Ports, Victim, connect_accounts, door, told};
use crate::{
    house::{as_owner, log_of},
    load::{Load, STEADY},
    verdict,
};

/// `dev/kill nodes` starts the nodes and runs this.
#[ignore = "needs three nodes of Apache Kafka: dev/kill nodes"]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_nodes_of_the_cluster_die() -> Result<()> {
    let (kills, seed) = told()?;
    let mut rng = StdRng::seed_from_u64(seed);
    let bootstrap = three_nodes().await?;

    let folder = tempfile::Builder::new()
        .prefix("compline-kill-")
        .tempdir()?;
    let ports = Ports::free(Some(&bootstrap))?;
    let mut street = Victim::start(folder.path(), &ports)?;
    let running = street.ready().await?;
    let accounts = connect_accounts(folder.path(), seed).await?;

    let load = Load::start(&[door(&running)], accounts, seed, STEADY)?;
    let stall = tokio::spawn(longest_stall(load.acknowledged.clone()));
    for kill in 1..=kills {
        sleep(Duration::from_millis(rng.random_range(500..3_000))).await;
        let node = rng.random_range(1..=3).to_string();
        kafka(&["kill", &node]).await?;
        // At times it is back before anybody has missed it.
        let away = Duration::from_millis(rng.random_range(0..6_000));
        sleep(away).await;
        kafka(&["start", &node]).await?;
        let acknowledged = load.acknowledged.load(Ordering::Relaxed);
        eprintln!(
            "kill {kill} of {kills}: node {node}, away for {away:?}; {acknowledged} webhooks \
             acknowledged so far"
        );
    }
    let acknowledged = load.finish().await?;
    stall.abort();
    ensure!(
        street.ready().await?.pid == running.pid,
        "the street has gone on by itself"
    );
    let verdict = verdict::all(&log_of(&running)?, &as_owner(&running)?, &acknowledged).await?;
    eprintln!("{verdict}");
    street.stop().await
}

/// Their addresses.
pub(crate) async fn three_nodes() -> Result<String> {
    let bootstrap = kafka(&["bootstrap"]).await?;
    let nodes = bootstrap.split(',').count();
    ensure!(nodes == 3, "{nodes} nodes, and three are needed");
    Ok(bootstrap)
}

/// Tells of each new longest time without an acknowledgement.
async fn longest_stall(acknowledged: Arc<AtomicU64>) {
    let (mut seen, mut since, mut longest) = (0, Instant::now(), Duration::from_secs(1));
    loop {
        sleep(Duration::from_millis(20)).await;
        let now = acknowledged.load(Ordering::Relaxed);
        if now != seen {
            if since.elapsed() > longest {
                longest = since.elapsed();
                eprintln!("nothing was acknowledged for {longest:.1?}");
            }
            (seen, since) = (now, Instant::now());
        }
    }
}

/// The last line that `dev/kafka` says.
pub(crate) async fn kafka(arguments: &[&str]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/kafka");
    let mut command = Command::new(script);
    command.args(arguments);
    let ended = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "dev/kafka {arguments:?}: {said}");
    let said = String::from_utf8(ended.stdout)?;
    let last = said.lines().last().context("a line")?;
    Ok(last.to_owned())
}
