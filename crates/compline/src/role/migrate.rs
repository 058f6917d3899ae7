//! Makes what every role expects to be there: topics, logins, schemas, the first
//! generation of every projection; and brings the generations that stand to this
//! build's layout. Safe to repeat, and by several at once.

use anyhow::{Context as _, Error, Result};
use compline_ad::AdEngine;
use compline_engine::Engine as _;
use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, LogConfig, TopicReport, TopicSpec};
use compline_readmodel::{
    Projection,
    generation::{self, GenerationError},
    role,
};
use sqlx::migrate::MigrateError;

use super::Rooms;

/// The topics, as they are now.
pub async fn topics(rooms: &Rooms) -> Result<Vec<TopicReport>> {
    let ensured = rooms.log.ensure_topics().await;
    ensured.map_err(|error| match error.is_broken_promise() {
        true => {
            let remedy = remedy(&rooms.settings.log);
            Error::msg(format!("{error}; {remedy}")).context("the topics")
        }
        false => Error::new(error).context("the topics"),
    })
}

/// How one mends topics and brokers that break a promise.
pub fn remedy(log: &LogConfig) -> String {
    let prefix = match log.prefix.as_str() {
        "" => String::new(),
        prefix => format!(" --prefix {prefix}"),
    };
    format!(
        "`compline topics ensure --fix --kafka {}{prefix}` sets what can be set in place, and says what to \
         do about the rest",
        log.bootstrap
    )
}

/// The logins and the database, where the settings name an administrator.
pub async fn roles(rooms: &Rooms) -> Result<bool> {
    let postgres = &rooms.settings.postgres;
    let Some((admin, database)) = postgres.admin()? else {
        return Ok(false);
    };
    role::bootstrap(&admin, &database, |role| {
        postgres.password(role).expose().to_owned()
    })
    .await
    .context("the database's roles")?;
    Ok(true)
}

/// Schemas and tables. Needs the topics: engines begin where their inputs do.
pub async fn schemas(rooms: &Rooms) -> Result<()> {
    generation::migrate(&rooms.database)
        .await
        .map_err(readable)?;
    projection::<compline_ad_status::AdStatus>(rooms).await?;
    projection::<compline_activity::ActivityTrail>(rooms).await?;
    projection::<compline_tenancy::Tenancy>(rooms).await?;

    let mut starts = Vec::new();
    for topic in AdEngine::INPUTS {
        for partition in Log::partitions(*topic) {
            starts.push((*topic, partition, first(rooms, *topic, partition).await?));
        }
    }
    let outputs = AdEngine::OUTPUTS
        .iter()
        .flat_map(|topic| Log::partitions(*topic).map(|partition| (*topic, partition)));
    let migrated = compline_engine::migrate::<AdEngine>(&rooms.database, starts, outputs).await;
    migrated.map_err(readable)
}

async fn projection<P: Projection>(rooms: &Rooms) -> Result<()> {
    let partitions_of = |topic| TopicSpec::of(topic).partitions;
    let laid_out = generation::lay_out::<P>(&rooms.database, partitions_of).await;
    laid_out.map_err(readable)
}

/// What to do about tables that another version laid out, and that this one cannot
/// bring up to date.
fn readable(error: GenerationError) -> Error {
    let foreign = matches!(
        &error,
        GenerationError::Migrate {
            source: MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_),
            ..
        }
    );
    let error = Error::new(error);
    match foreign {
        true => error.context(
            "this database was laid out by another version of compline: run that one, or begin with a new data folder (`up --data`), or with a new database and log",
        ),
        false => error,
    }
}

/// Raw webhooks expire, so a log that is older than its engine's tables may not
/// begin at 0.
async fn first(rooms: &Rooms, topic: Topic, partition: Partition) -> Result<Offset> {
    let bounds = rooms.log.bounds(topic, partition).await;
    Ok(bounds
        .with_context(|| format!("{topic}/{partition}"))?
        .start)
}
