//! One role in a process of its own, against the log and the database of the
//! configuration.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use compline_runtime::Shutdown;
use serde_json::json;

use super::change::deliver_secret;
use crate::{
    client::Target,
    config::{DEFAULTS, Settings},
    output::Output,
    process::{Process, init_telemetry},
    role::{ProjectionName, Rooms, broker, migrate},
};

/// Which role.
#[derive(Debug, Clone, Copy)]
pub(super) enum RoleName {
    Broker,
    Ingress,
    Engine(EngineName),
    Projector(ProjectionName),
    Query,
    Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum EngineName {
    /// From webhooks to what is known of ads
    Ad,
}

/// Runs the role until it is told to stop.
pub(super) async fn run(role: RoleName, target: &Target) -> Result<()> {
    let settings = target.settings()?;
    let telemetry = init_telemetry(&settings.telemetry)?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let process = Process::new(shutdown);
    let admin = process
        .open_admin(settings.admin.listen, Some(telemetry.metrics()))
        .await?;
    tracing::info!(address = %admin, "the admin door is open");
    start(role, settings, &process).await?;
    process.run().await?;
    telemetry.shutdown().await;
    Ok(())
}

async fn start(role: RoleName, settings: Settings, process: &Process) -> Result<()> {
    if let RoleName::Broker = role {
        let data = settings.broker.data.clone();
        let listening = broker::start(&settings.broker, data, process).await?;
        tracing::info!(address = %listening.address, "the log is open");
        return Ok(());
    }
    let rooms = Rooms::new(settings)?;
    match role {
        RoleName::Broker => {}
        RoleName::Ingress => {
            let address = rooms.ingress(process).await?;
            tracing::info!(%address, "the door for webhooks is open");
        }
        RoleName::Engine(EngineName::Ad) => {
            rooms.ad_engine(process);
        }
        RoleName::Projector(name) => {
            rooms.projector(name, process).await?;
        }
        RoleName::Query => {
            let address = rooms.query(process).await?;
            tracing::info!(%address, "the query service is open");
        }
        RoleName::Command => {
            let address = rooms.command(process).await?;
            tracing::info!(%address, "the command service is open");
        }
    }
    Ok(())
}

/// Topics, logins, schemas and generations, for roles that run apart.
pub(super) async fn migrate(target: &Target, out: &mut Output) -> Result<()> {
    let rooms = Rooms::new(target.settings()?)?;
    let topics = migrate::topics(&rooms).await?;
    let made_roles = migrate::roles(&rooms).await?;
    migrate::schemas(&rooms).await?;
    if out.is_json() {
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| {
                json!({
                    "name": topic.name, "partitions": topic.partitions,
                    "replication": topic.replication, "made": topic.made,
                })
            })
            .collect();
        out.json(&json!({ "topics": topics, "loginsSet": made_roles }))?;
        return Ok(());
    }
    for topic in topics {
        let made = if topic.made { "made" } else { "there" };
        out.line(format!(
            "topic {} ({} partitions, {} replicas): {made}",
            topic.name, topic.partitions, topic.replication
        ))?;
    }
    match made_roles {
        true => out.line("logins and database: set")?,
        false => out.line("logins and database: left as they are (no postgres.admin_url)")?,
    }
    out.line("schemas and generations: up to date")?;
    Ok(())
}

/// The commented default file.
pub(super) fn config(out: &mut Output) -> Result<()> {
    out.line(DEFAULTS.trim_end())?;
    Ok(())
}

/// A new key of the operator's; nothing is changed by it.
pub(super) fn operator_key(write_key: Option<PathBuf>, out: &mut Output) -> Result<()> {
    let key = compline_command::auth::operator_key();
    let hash = hex::encode(key.secret_sha256());
    let shown = deliver_secret(&key.reveal(), write_key)?;
    match out.is_json() {
        true => out.json(&json!({ "key": shown, "operatorKeySha256": hash }))?,
        false => out.pairs(&[("key", shown), ("command.operator_key_sha256", hash)])?,
    }
    Ok(())
}
