//! What no type can say of a setting: how much is absurd, and what does not fit
//! together.
//!
//! Everyone's values must make sense, whoever runs; what only an open door needs
//! (secrets, an address that others may reach) is asked of whoever opens it.

use std::time::Duration;

use compline_eventlog::LogError;
use compline_runtime::config::{ConfigError, check};

use super::{BrokerSettings, ClusterSettings, CommandSettings, Purpose, Settings};
use crate::role::RoleName;

/// Of one pool. PostgreSQL serves some hundreds well.
const MOST_CONNECTIONS: usize = 1000;
const MOST_RECORDS: usize = 1_000_000;
const MOST_BYTES: usize = 1 << 30;
const MIB: usize = 1 << 20;

pub(super) fn check(settings: &Settings, purpose: Purpose) -> Result<(), ConfigError> {
    let below = |section: &'static str| move |error: ConfigError| error.below(section);
    settings.telemetry.check().map_err(below("telemetry"))?;
    log(settings)?;
    settings.postgres.options()?;
    settings.postgres.admin()?;
    settings.ingress.check().map_err(below("ingress"))?;
    batches(settings)?;
    settings.query.grpc.check().map_err(below("query.grpc"))?;
    connections("query.connections", settings.query.connections)?;
    command(&settings.command)?;
    settings.broker.check().map_err(below("broker"))?;
    cluster(&settings.cluster)?;
    match purpose {
        Purpose::Tool | Purpose::Migrate => Ok(()),
        Purpose::Role(RoleName::Ingress) => secrets(settings),
        Purpose::Role(RoleName::Broker) => reachable(&settings.broker),
        Purpose::Role(_) => Ok(()),
        Purpose::Up => {
            secrets(settings)?;
            reachable(&settings.broker)?;
            own_log(settings)
        }
        Purpose::UpOnKafka => secrets(settings),
    }
}

fn log(settings: &Settings) -> Result<(), ConfigError> {
    settings.log.check().map_err(|error| match error {
        LogError::Config { key, found, reason } => {
            let key = format!("log.{key}");
            let problem = format!("found {found:?}: {reason}");
            ConfigError::Invalid {
                key,
                problem,
                origin: None,
            }
        }
        error => ConfigError::Invalid {
            key: "log".to_owned(),
            problem: error.to_string(),
            origin: None,
        },
    })
}

fn batches(settings: &Settings) -> Result<(), ConfigError> {
    let (engine, projector) = (&settings.engine, &settings.projector);
    connections("engine.connections", engine.connections)?;
    check::count(
        "engine.batch_records",
        engine.batch_records,
        1..=MOST_RECORDS,
    )?;
    check::size("engine.batch_bytes", engine.batch_bytes, 1024..=MOST_BYTES)?;
    let lags = Duration::from_millis(100)..=Duration::from_secs(86_400);
    check::time("engine.ready_lag", engine.ready_lag, lags.clone())?;
    check::time("projector.ready_lag", projector.ready_lag, lags)?;
    connections("projector.connections", projector.connections)?;
    check::count(
        "projector.batch_records",
        projector.batch_records,
        1..=MOST_RECORDS,
    )?;
    check::size(
        "projector.batch_bytes",
        projector.batch_bytes,
        1024..=MOST_BYTES,
    )
}

fn connections(key: &str, found: u32) -> Result<(), ConfigError> {
    check::count(key, found as usize, 1..=MOST_CONNECTIONS)
}

fn command(command: &CommandSettings) -> Result<(), ConfigError> {
    let waits = Duration::from_millis(100)..=Duration::from_secs(300);
    command
        .grpc
        .check()
        .map_err(|error| error.below("command.grpc"))?;
    connections("command.connections", command.connections)?;
    check::time("command.verdict_wait", command.verdict_wait, waits)?;
    command.operator_sha256().map(drop)
}

fn cluster(cluster: &ClusterSettings) -> Result<(), ConfigError> {
    check::size(
        "cluster.shared_buffers",
        cluster.shared_buffers,
        MIB..=MIB << 20,
    )
}

fn secrets(settings: &Settings) -> Result<(), ConfigError> {
    let ingress = &settings.ingress;
    ingress
        .check_secrets()
        .map_err(|error| error.below("ingress"))
}

/// Who may reach the embedded log, and where it tells them that it is.
fn reachable(broker: &BrokerSettings) -> Result<(), ConfigError> {
    let ip = broker.listen.ip();
    if !broker.allow_remote && !ip.is_loopback() {
        let expected =
            "a loopback address, or broker.allow_remote = true: the log asks nobody who they are";
        return Err(ConfigError::invalid(
            "broker.listen",
            broker.listen,
            expected,
        ));
    }
    if ip.is_unspecified() && broker.advertised_host.is_empty() {
        let expected = "the host that clients reach the log at, for broker.listen names none";
        return Err(ConfigError::invalid("broker.advertised_host", "", expected));
    }
    Ok(())
}

/// The embedded log is one broker, and it speaks neither TLS nor SASL.
fn own_log(settings: &Settings) -> Result<(), ConfigError> {
    let log = &settings.log;
    if log.replication != 1 {
        let expected = "1, for `up` brings a log of one broker; `up --kafka` stands on a cluster";
        return Err(ConfigError::invalid(
            "log.replication",
            log.replication,
            expected,
        ));
    }
    if let Some(key) = log.properties.keys().next() {
        let expected = "none, for `up` brings a log of its own; `up --kafka` stands on a cluster";
        return Err(ConfigError::invalid(
            format!("log.properties.{key}"),
            "a setting",
            expected,
        ));
    }
    Ok(())
}
