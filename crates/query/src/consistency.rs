//! What a read must have seen: from the request to the read model and back.

use std::time::Duration;

use compline_api::{
    error,
    query::{Consistency, OnTimeout as Asked, Position as ApiPosition, Seen as ApiSeen},
    token::{self, Place},
};
use compline_event::{Offset, Partition, Position, Token, Topic};
use compline_readmodel::{OnTimeout, ReadError, Reader, Snapshot, Want};
use tonic::{Request, Status, metadata::MetadataMap};

use crate::caller::Caller;

const DEFAULT_WAIT: Duration = Duration::from_secs(5);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What of the call's own deadline is left for the read itself: an answer that
/// is late is no answer.
const LEFT_FOR_READING: Duration = Duration::from_millis(50);

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A snapshot of the caller's rows that has seen what `asked` says.
pub(crate) async fn snapshot<T>(
    reader: &Reader,
    request: &Request<T>,
    asked: Option<Consistency>,
) -> Result<Snapshot, Status> {
    let tenant = Caller::of(request)?.tenant;
    let want = want(request.metadata(), asked)?;
    reader.snapshot(tenant, &want).await.map_err(read_failed)
}

/// For the answer.
pub(crate) fn seen(snapshot: &Snapshot) -> ApiSeen {
    let seen = snapshot.seen();
    ApiSeen {
        position: positions(&seen.position),
        stale: seen.stale,
        parked_keys: seen.parked_keys.clone(),
    }
}

/// A token as answers carry it.
pub(crate) fn positions(token: &Token) -> Vec<ApiPosition> {
    places(token).map(ApiPosition::from).collect()
}

pub(crate) fn places(token: &Token) -> impl Iterator<Item = Place> + '_ {
    token.positions().map(|position| Place {
        topic: position.topic.to_string(),
        partition: position.partition.0,
        next_offset: position.next_offset.0,
    })
}

/// # Errors
/// INVALID_ARGUMENT on the topic that there is not.
pub(crate) fn token(field: &str, places: Vec<Place>) -> Result<Token, Status> {
    places
        .into_iter()
        .enumerate()
        .map(|(index, place)| {
            let topic: Topic = place.topic.parse().map_err(|unknown| {
                error::invalid_argument(&format!("{field}[{index}].topic"), format!("{unknown}"))
            })?;
            Ok(Position {
                topic,
                partition: Partition(place.partition),
                next_offset: Offset(place.next_offset),
            })
        })
        .collect()
}

/// What `consistency` asks for, within the call's own deadline (`grpc-timeout`).
///
/// # Errors
/// INVALID_ARGUMENT on the field of `consistency` that is wrong.
fn want(metadata: &MetadataMap, consistency: Option<Consistency>) -> Result<Want, Status> {
    let Some(consistency) = consistency else {
        return Ok(Want::now());
    };
    let wrong = |field: &str, description: &str| {
        error::invalid_argument(&format!("consistency.{field}"), description)
    };
    let on_timeout = match Asked::try_from(consistency.on_timeout) {
        Ok(Asked::Unspecified) => OnTimeout::Fail,
        Ok(Asked::Stale) => OnTimeout::Stale,
        Err(_) => return Err(wrong("on_timeout", "is no value that we know")),
    };
    let max_wait = match consistency.max_wait {
        None => DEFAULT_WAIT,
        Some(asked) => Duration::try_from(asked)
            .map_err(|_| wrong("max_wait", "must not be negative"))?
            .min(MAX_WAIT),
    };
    let max_wait = match call_timeout(metadata) {
        None => max_wait,
        Some(timeout) => max_wait.min(timeout - LEFT_FOR_READING.min(timeout / 2)),
    };
    let field = "consistency.min_position";
    let places = token::places(field, consistency.min_position)?;
    Ok(Want {
        token: token(field, places)?,
        max_wait,
        on_timeout,
    })
}

pub(crate) fn read_failed(error: ReadError) -> Status {
    match error {
        ReadError::NotRead {
            topic, partition, ..
        } => error::invalid_argument(
            "consistency.min_position",
            format!("these rows are not folded from {topic}/{partition}: waiting is of no use"),
        ),
        ReadError::TimedOut { asked, reached, .. } => {
            error::position_not_reached(&asked.to_string(), &reached.to_string())
        }
        ReadError::NoGeneration { projection } => {
            tracing::warn!(projection, "a read found no generation");
            error::unavailable("the read model", RETRY_AFTER)
        }
        ReadError::Database(error) => database_failed(error),
    }
}

/// Logged here, for callers are told nothing of the database.
pub(crate) fn database_failed(error: sqlx::Error) -> Status {
    use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    let unreachable = match &error {
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        // Connection exceptions, too many connections, and a server that stops.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    };
    if unreachable {
        tracing::warn!(%error, "the database could not be read");
        return error::unavailable("the read model", RETRY_AFTER);
    }
    tracing::error!(%error, "a read failed");
    Status::internal("internal error")
}

/// What the caller leaves us: at most 8 digits and a unit, by the gRPC over HTTP/2
/// specification. Anything else is no deadline.
fn call_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Duration as ProtoDuration;

    use super::*;

    fn with_timeout(text: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        metadata
    }

    fn asking(change: impl FnOnce(&mut Consistency)) -> Option<Consistency> {
        let mut consistency = Consistency {
            min_position: vec![ApiPosition {
                topic: "ad".into(),
                partition: 3,
                next_offset: 7,
            }],
            ..Consistency::default()
        };
        change(&mut consistency);
        Some(consistency)
    }

    fn seconds(seconds: i64) -> Option<ProtoDuration> {
        Some(ProtoDuration { seconds, nanos: 0 })
    }

    #[test]
    fn the_sooner_deadline_holds_and_leaves_time_to_read() {
        for (metadata, max_wait, expected) in [
            (MetadataMap::new(), None, 5_000),
            (MetadataMap::new(), seconds(3600), 60_000),
            (with_timeout("2S"), None, 1_950),
            (with_timeout("10m"), seconds(3600), 5),
            (with_timeout("123456789S"), None, 5_000),
            (with_timeout("soon"), None, 5_000),
        ] {
            let want = want(&metadata, asking(|c| c.max_wait = max_wait)).unwrap();
            assert_eq!(want.max_wait, Duration::from_millis(expected));
            assert_eq!(want.token.to_string(), "ad/3@7");
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (consistency, field) in [
            (asking(|c| c.on_timeout = 9), "on_timeout: "),
            (
                asking(|c| c.min_position[0].topic = "paint".into()),
                "min_position[0].topic: ",
            ),
            (
                asking(|c| c.min_position[0].partition = -1),
                "min_position[0].partition: ",
            ),
            (asking(|c| c.max_wait = seconds(-1)), "max_wait: "),
        ] {
            let status = want(&MetadataMap::new(), consistency).unwrap_err();
            let field = format!("consistency.{field}");
            assert!(status.message().starts_with(&field), "{status}");
        }
    }
}
