//! Whether what a role stands on lets it in, asked once before it starts: a role
//! that runs waits out an outage by itself, but one that was told a wrong address
//! or password would wait for ever.

mod greet;

use std::{io, time::Duration};

use anyhow::{Result, anyhow, bail};
use compline_event::Topic;
use compline_eventlog::{Log, LogConfig, LogError};
use compline_readmodel::{Database, Role, generation::SCHEMA};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use self::greet::greet;
use crate::config::excerpt::variable;

/// Copies that are kept where a cluster has nodes enough for them.
const COPIES: u16 = 3;

/// How long anyone may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The database, as `role`, with compline's schema in it.
pub async fn database(database: &Database, role: Role) -> Result<()> {
    let options = database.options(role, SCHEMA);
    let mut conn = connect(&options, Login::Role(role)).await?;
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_namespace WHERE nspname = $1")
        .bind(SCHEMA)
        .fetch_optional(&mut conn)
        .await?;
    conn.close().await?;
    if found.is_none() {
        let (server, name) = (server(&options), database_name(&options));
        bail!(
            "database {name} of PostgreSQL at {server} has no schema {SCHEMA} yet: run `compline migrate`"
        );
    }
    Ok(())
}

/// The database, as its owner, whatever is in it.
pub async fn owner(database: &Database) -> Result<()> {
    let options = database.options(Role::Owner, SCHEMA);
    let conn = connect(&options, Login::Role(Role::Owner)).await?;
    Ok(conn.close().await?)
}

/// The server, as whoever may make roles and databases.
pub async fn administrator(options: &PgConnectOptions) -> Result<()> {
    let conn = connect(options, Login::Administrator).await?;
    Ok(conn.close().await?)
}

/// The log, with compline's topics in it.
pub async fn topics(log: &Log, config: &LogConfig) -> Result<()> {
    brokers(config).await?;
    let at = &config.bootstrap;
    match log.partition_count(Topic::Tenant).await {
        Ok(_) => Ok(()),
        Err(LogError::TopicMissing { name }) => {
            bail!("the log at {at} has no topic {name} yet: run `compline migrate`")
        }
        Err(error @ (LogError::Unavailable { .. } | LogError::Refused { .. })) => {
            let error = crate::problem::line(&error.into());
            bail!(
                "the log at {at} lets no client in: {error}; {}",
                log_advice()
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Any of the brokers that are asked first; else says which setting to mend.
pub async fn brokers(config: &LogConfig) -> Result<()> {
    let answered = answers(config).await;
    answered.map_err(|error| anyhow!("{error}; {}", log_advice()))
}

/// The same of brokers that are no setting's: whoever named them knows how.
pub async fn answers(config: &LogConfig) -> Result<()> {
    let protocol = config.properties.get("security.protocol");
    let names_tls = |text: &str| text.to_lowercase().contains("ssl");
    let encrypted = protocol.is_some_and(|name| names_tls(name))
        || config.bootstrap.to_lowercase().contains("ssl://");
    let mut refused = Vec::new();
    for address in addresses(&config.bootstrap) {
        match greet(&address, encrypted, ANSWER_WITHIN).await {
            Ok(()) => return Ok(()),
            Err(error) => refused.push(format!("{address}: {error}")),
        }
    }
    if refused.is_empty() {
        bail!("the log cannot be reached: no broker is named");
    }
    bail!("the log cannot be reached at {}", refused.join("; "))
}

/// Copies of each topic that is made on a cluster of so many nodes: as `asked` for, else
/// 3 where there are as many nodes, else as `configured`.
pub fn copies(asked: Option<u16>, nodes: usize, configured: u16) -> u16 {
    match asked {
        Some(copies) => copies,
        None if nodes >= usize::from(COPIES) => configured.max(COPIES),
        None => configured,
    }
}

/// Where librdkafka looks for the brokers of `bootstrap.servers`, by its own rules
/// (`rd_kafka_brokers_add0`, `rd_kafka_broker_name_parse`): a list with commas and
/// spaces, of `[protocol://][host][:port][/anything]`.
fn addresses(bootstrap: &str) -> impl Iterator<Item = String> {
    let named = bootstrap
        .split([',', ' '])
        .map(str::trim)
        .filter(|part| !part.is_empty());
    named.map(|broker| {
        let broker = match broker.split_once("://") {
            Some((_, url)) => url.split('/').next().unwrap_or_default(),
            None => broker,
        };
        // Of several colons only one behind a bracket stands before a port.
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            _ => (broker, "9092"),
        };
        match host {
            "" => format!("localhost:{port}"),
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
            host => format!("{host}:{port}"),
        }
    })
}

fn log_advice() -> String {
    let key = "log.bootstrap";
    let variable = variable(key);
    format!(
        "start it, or set {key} ({variable}) to where it is, and log.properties to how one enters"
    )
}

/// Who enters the database.
#[derive(Clone, Copy)]
enum Login {
    /// Made by `migrate`, which sets its password.
    Role(Role),
    Administrator,
}

impl Login {
    const fn address_key(self) -> &'static str {
        match self {
            Login::Role(_) => "postgres.url",
            Login::Administrator => "postgres.admin_url",
        }
    }

    const fn password_key(self) -> &'static str {
        match self {
            Login::Role(Role::Owner) => "postgres.owner_password",
            Login::Role(Role::Projector) => "postgres.projector_password",
            Login::Role(Role::Engine) => "postgres.engine_password",
            Login::Role(Role::Query) => "postgres.query_password",
            Login::Administrator => "postgres.admin_password",
        }
    }

    fn password_advice(self) -> String {
        let key = self.password_key();
        let advice = format!("set {key} ({}) to its password", variable(key));
        match self {
            Login::Role(_) => format!(
                "{advice}; `compline migrate` with a postgres.admin_url makes that login and gives it that password"
            ),
            Login::Administrator => advice,
        }
    }

    fn address_advice(self) -> String {
        let key = self.address_key();
        format!("set {key} ({}) to where it is", variable(key))
    }
}

async fn connect(options: &PgConnectOptions, login: Login) -> Result<PgConnection> {
    let options = options.clone().disable_statement_logging();
    let connecting = async {
        let connected = PgConnection::connect_with(&options).await;
        connected.map_err(|error| match error {
            sqlx::Error::Io(error) => error,
            error => io::Error::other(error),
        })
    };
    let error = match within(connecting).await {
        Ok(conn) => return Ok(conn),
        Err(error) => error,
    };
    let (server, user) = (server(&options), options.get_username());
    let refused = error.get_ref().and_then(|error| error.downcast_ref());
    let Some(sqlx::Error::Database(refused)) = refused else {
        let advice = login.address_advice();
        bail!("PostgreSQL cannot be reached at {server} as {user}: {error}; start it, or {advice}");
    };
    let advice = match refused.code().as_deref() {
        // invalid_authorization_specification, invalid_password
        Some("28000" | "28P01") => login.password_advice(),
        // invalid_catalog_name
        Some("3D000") => "`compline migrate` with a postgres.admin_url makes it".to_owned(),
        _ => login.address_advice(),
    };
    let (name, said) = (database_name(&options), refused.message());
    bail!("PostgreSQL at {server} does not let {user} into database {name}: {said}; {advice}")
}

fn server(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// A client that names none gets the one of its own name.
fn database_name(options: &PgConnectOptions) -> &str {
    options.get_database().unwrap_or(options.get_username())
}

async fn within<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(answer) => answer,
        Err(_) => {
            let seconds = ANSWER_WITHIN.as_secs();
            Err(io::Error::other(format!("no answer within {seconds} s")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn brokers_are_looked_for_where_the_client_looks() {
        for (bootstrap, looked_for) in [
            ("log", &["log:9092"][..]),
            ("log:19092", &["log:19092"]),
            ("PLAINTEXT://log:19092", &["log:19092"]),
            ("SASL_SSL://log", &["log:9092"]),
            ("ssl://log:1/path", &["log:1"]),
            ("a, b:1,,c ,", &["a:9092", "b:1", "c:9092"]),
            ("[::1]", &["[::1]:9092"]),
            ("[::1]:19092", &["[::1]:19092"]),
            ("::1", &["[::1]:9092"]),
            (":19092", &["localhost:19092"]),
            (" , ", &[]),
        ] {
            let found: Vec<String> = addresses(bootstrap).collect();
            assert_eq!(found, looked_for, "{bootstrap:?}");
        }
    }
}
