//! The suite against the embedded broker, or against Apache Kafka at `KAFKA_BOOTSTRAP`, which the
//! command `KAFKA_RESTART` restarts. `CONFORMANCE_ONLY` runs the checks whose names contain it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;

use anyhow::ensure;
use compline_broker::{Broker, BrokerConfig, RunningBroker};
use compline_conformance::{DIFFERENCES, Log, Outcome, suite};
use tokio::process::Command;
use tokio::sync::Mutex;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_conforms() -> anyhow::Result<()> {
    let outcomes = match std::env::var("KAFKA_BOOTSTRAP") {
        Ok(bootstrap) => check(kafka(&bootstrap)).await,
        Err(_) => embedded().await,
    };
    println!("What the two logs do differently, found to be so:");
    for line in DIFFERENCES {
        println!("  {line}");
    }
    ensure!(!outcomes.is_empty(), "CONFORMANCE_ONLY leaves no check");
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err());
    let failed = failed.count();
    ensure!(failed == 0, "{failed} of {} checks failed", outcomes.len());
    println!("{} checks, all fine", outcomes.len());
    Ok(())
}

async fn check(log: Log) -> Vec<Outcome> {
    let only = std::env::var("CONFORMANCE_ONLY").unwrap_or_default();
    suite(log, &only, |Outcome { name, took, result }| match result {
        Ok(()) => println!("{name}: fine in {took:?}"),
        Err(error) => println!("FAILED {name} after {took:?}: {error:#}"),
    })
    .await
}

fn kafka(bootstrap: &str) -> Log {
    Log::kafka(bootstrap).restarted_by(|| async {
        let command = std::env::var("KAFKA_RESTART")?;
        let ended = Command::new("sh").args(["-c", &command]).status().await?;
        ensure!(ended.success(), "{command}: {ended}");
        Ok(())
    })
}

async fn embedded() -> Vec<Outcome> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = BrokerConfig::new(folder.path().join("log"));
    config.bind.set_port(0);
    config.compaction_interval = std::time::Duration::from_millis(200);
    let broker = Broker::open(config.clone()).await.unwrap().start();
    config.bind = broker.local_addr();
    let bootstrap = broker.bootstrap();
    let running: Arc<Mutex<Option<RunningBroker>>> = Arc::new(Mutex::new(Some(broker)));
    let shared = running.clone();
    let log = Log::embedded(&bootstrap).restarted_by(move || {
        let (running, config) = (shared.clone(), config.clone());
        async move {
            let mut running = running.lock().await;
            if let Some(broker) = running.take() {
                broker.stop().await?;
            }
            *running = Some(Broker::open(config).await?.start());
            Ok(())
        }
    });
    let outcomes = check(log).await;
    let broker = running.lock().await.take();
    broker.unwrap().stop().await.unwrap();
    outcomes
}
