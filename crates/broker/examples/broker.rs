//! Runs a broker until Ctrl-C: `cargo run --release -p compline-broker --example broker -- DIR PORT [relaxed]`.

use compline_broker::{Broker, BrokerConfig, SyncMode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut config = BrokerConfig::new(arguments.next().ok_or("which folder?")?);
    config
        .bind
        .set_port(arguments.next().ok_or("which port?")?.parse()?);
    if arguments.next().as_deref() == Some("relaxed") {
        config.sync = SyncMode::Relaxed;
    }
    config.auto_create_topics = std::env::var_os("AUTO_CREATE").is_some();
    let broker = Broker::open(config).await?;
    eprintln!("ready on {}", broker.bootstrap());
    broker
        .run(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
