//! The suite against the embedded broker, or against the log at `KAFKA_BOOTSTRAP`.
#![allow(clippy::unwrap_used)]

use compline_broker::{Broker, BrokerConfig};
use compline_conformance::{Outcome, suite};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_conforms() {
    let outcomes = match std::env::var("KAFKA_BOOTSTRAP") {
        Ok(bootstrap) => suite(&bootstrap).await,
        Err(_) => embedded().await,
    };
    let mut failed = 0;
    for Outcome { name, took, result } in &outcomes {
        match result {
            Ok(()) => println!("{name}: fine in {took:?}"),
            Err(error) => {
                failed += 1;
                println!("{name}: {error:#}");
            }
        }
    }
    assert_eq!(failed, 0, "of {} checks", outcomes.len());
}

async fn embedded() -> Vec<Outcome> {
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = BrokerConfig::new(folder.path().join("log"));
    config.bind.set_port(0);
    let broker = Broker::open(config).await.unwrap().start();
    let outcomes = suite(&broker.bootstrap()).await;
    broker.stop().await.unwrap();
    outcomes
}
