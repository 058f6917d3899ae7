//! One role in a process of its own, against the log and the database of the
//! configuration.

use anyhow::{Result, bail};
use compline_readmodel::Role;
use compline_runtime::Shutdown;
use serde_json::json;

use super::change::KeyFile;
use crate::{
    client::Target,
    config::{DEFAULTS, Purpose, Settings},
    output::Output,
    process::{Process, init_telemetry},
    role::{Door, EngineName, RoleName, Rooms, broker, migrate, reach},
};

/// Runs the role until it is told to stop.
pub(super) async fn run(role: RoleName, target: &Target) -> Result<()> {
    let settings = Settings::load_for(Purpose::Role(role), target.config.as_deref())?;
    let telemetry = init_telemetry(&settings.telemetry)?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let process = Process::new(shutdown.clone(), settings.longest_drain());
    let admin = Door::Admin.bind(&settings).await?;
    let address = admin.local_addr()?;
    process.open_admin(admin, Some(telemetry.metrics()));
    tracing::info!(%address, "the admin door is open");
    tokio::select! {
        started = start(role, settings, &process) => started?,
        () = shutdown.begun() => bail!("stopped while starting"),
    }
    process.run().await?;
    telemetry.shutdown().await;
    Ok(())
}

/// Takes the role's own port, then asks whether what it stands on lets it in, then
/// begins.
async fn start(role: RoleName, settings: Settings, process: &Process) -> Result<()> {
    match role {
        RoleName::Broker => {
            // The log takes its port by itself.
            drop(Door::Kafka.bind(&settings).await?);
            let data = settings.broker.data.clone();
            let listening = broker::start(&settings.broker, data, process).await?;
            tracing::info!(address = %listening.address, "the log is open");
        }
        RoleName::Ingress => {
            let listener = Door::Ingress.bind(&settings).await?;
            let address = listener.local_addr()?;
            // Without a log it answers 503, and senders come again.
            Rooms::new(settings)?.ingress(listener, process)?;
            tracing::info!(%address, "the door for webhooks is open");
        }
        RoleName::Engine(EngineName::Ad) => {
            let rooms = Rooms::new(settings)?;
            reach::database(&rooms.database, Role::Engine).await?;
            reach::topics(&rooms.log, &rooms.settings.log).await?;
            rooms.ad_engine(process);
        }
        RoleName::Projector(name) => {
            let rooms = Rooms::new(settings)?;
            reach::database(&rooms.database, Role::Projector).await?;
            reach::topics(&rooms.log, &rooms.settings.log).await?;
            rooms.projector(name, process).await?;
        }
        RoleName::Query => {
            let listener = Door::Query.bind(&settings).await?;
            let address = listener.local_addr()?;
            let rooms = Rooms::new(settings)?;
            reach::database(&rooms.database, Role::Query).await?;
            rooms.query(listener, process).await;
            tracing::info!(%address, "the query service is open");
        }
        RoleName::Command => {
            let listener = Door::Command.bind(&settings).await?;
            let address = listener.local_addr()?;
            let rooms = Rooms::new(settings)?;
            reach::database(&rooms.database, Role::Query).await?;
            reach::topics(&rooms.log, &rooms.settings.log).await?;
            rooms.command(listener, process).await?;
            tracing::info!(%address, "the command service is open");
        }
    }
    Ok(())
}

/// Topics, logins, schemas and generations, for roles that run apart.
pub(super) async fn migrate(target: &Target, out: &mut Output) -> Result<()> {
    let settings = Settings::load_for(Purpose::Migrate, target.config.as_deref())?;
    let rooms = Rooms::new(settings)?;
    reach::brokers(&rooms.settings.log).await?;
    match rooms.settings.postgres.admin()? {
        Some((admin, _)) => reach::administrator(&admin).await?,
        None => reach::owner(&rooms.database).await?,
    }
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
pub(super) fn operator_key(file: KeyFile, out: &mut Output) -> Result<()> {
    let place = file.prepare()?;
    let key = compline_command::auth::operator_key();
    let hash = hex::encode(key.secret_sha256());
    let shown = place.deliver(&key.reveal())?;
    match out.is_json() {
        true => out.json(&json!({ "key": shown, "operatorKeySha256": hash }))?,
        false => out.pairs(&[("key", shown), ("command.operator_key_sha256", hash)])?,
    }
    Ok(())
}
