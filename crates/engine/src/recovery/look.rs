//! Reading the outputs behind the stored offsets.

use std::{collections::HashMap, time::Duration};

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, ReadError, Record, Replay};
use compline_readmodel::Lease;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::RecoveryError;
use crate::{
    ledger::{Ledger, Place},
    metric,
};

/// How often a process asks whether another is done with looking.
const TURN_INTERVAL: Duration = Duration::from_millis(100);

/// How long a read that failed waits before it goes on.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// What stands between an offset that is known to be in the log and the log's end.
struct Stretch {
    topic: Topic,
    partition: Partition,
    from: Offset,
    end: Offset,
}

/// Outputs of one stretch that the database does not know.
#[derive(Debug, Default)]
struct Unknown {
    outputs: u64,
    last_number: i64,
}

/// Adopts what stands behind the acknowledged offsets, and tells `ledger`.
pub(super) async fn look(
    engine: &'static str,
    log: &Log,
    pool: &PgPool,
    ledger: &Ledger,
) -> Result<(), RecoveryError> {
    // One session for all: it is of one server.
    let mut conn = Lease::of(pool).await?;
    if stretches(engine, log, &mut conn).await?.is_empty() {
        return tell(engine, &mut conn, ledger).await;
    }
    // One process at a time: ids that come again after they were decided again
    // would stay. The lock goes with its session, so this one is not given back.
    let mut conn = conn.detach();
    while !take_turn(engine, &mut conn).await? {
        tokio::time::sleep(TURN_INTERVAL).await;
    }
    let stretches = stretches(engine, log, &mut conn).await?;
    // After the ends: a number is drawn before its output is appended, so whatever
    // stands below an end was drawn by now, though another process relays.
    let drawn = drawn(engine, &mut conn).await?;
    for stretch in stretches {
        let (topic, partition) = (stretch.topic, stretch.partition);
        let known = drawn.get(&(topic, partition)).copied().unwrap_or(0);
        let start = log.bounds(topic, partition).await?.start;
        let replay = log.replay(topic, partition, stretch.from.max(start), stretch.end)?;
        let unknown = keep_unknown(engine, replay, known, &mut conn).await?;
        if unknown.outputs > 0 {
            tracing::warn!(
                engine, %topic, %partition, outputs = unknown.outputs,
                "the log holds outputs that the database does not know; going on behind them"
            );
            metrics::counter!(metric::FOUND, "engine" => engine).increment(unknown.outputs);
        }
        // After the ids: were it before, an end in between would lose them.
        go_on_behind(engine, &stretch, unknown.last_number, &mut conn).await?;
    }
    tell(engine, &mut conn, ledger).await
}

async fn tell(engine: &str, conn: &mut PgConnection, ledger: &Ledger) -> Result<(), RecoveryError> {
    // Before the counters are read: what is committed from here on counts too.
    let moment = ledger.moment();
    let server = sqlx::query_scalar!(r#"SELECT pg_postmaster_start_time() AS "server!""#)
        .fetch_one(&mut *conn)
        .await?;
    ledger.looked(moment, server, drawn(engine, conn).await?);
    Ok(())
}

async fn take_turn(engine: &str, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('compline recovery ' || $1, 0)) AS "taken!""#,
        engine,
    )
    .fetch_one(conn)
    .await
}

async fn stretches(
    engine: &str,
    log: &Log,
    conn: &mut PgConnection,
) -> Result<Vec<Stretch>, RecoveryError> {
    let rows = sqlx::query!(
        "SELECT topic, partition, acked_offset FROM engine.relay WHERE engine = $1",
        engine
    )
    .fetch_all(conn)
    .await?;
    let acked: HashMap<(Topic, Partition), Offset> = rows
        .into_iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            Some((place, Offset(row.acked_offset)))
        })
        .collect();
    let places: Vec<_> = acked.keys().copied().collect();
    let ends = log.ends(&places).await?.into_iter();
    let stretch = ends.map(|(topic, partition, end)| Stretch {
        topic,
        partition,
        from: acked[&(topic, partition)].next(),
        end,
    });
    Ok(stretch.filter(|it| it.from < it.end).collect())
}

/// The last number drawn for each output partition.
async fn drawn(engine: &str, conn: &mut PgConnection) -> Result<HashMap<Place, i64>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, partition, last_number FROM engine.counter WHERE engine = $1",
        engine
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            Some((place, row.last_number))
        })
        .collect())
}

/// Keeps the ids of the engine's outputs with numbers above `known`.
async fn keep_unknown(
    engine: &str,
    mut replay: Replay,
    known: i64,
    conn: &mut PgConnection,
) -> Result<Unknown, RecoveryError> {
    let mut unknown = Unknown::default();
    while let Some(records) = next_batch(&mut replay).await? {
        let mut ids = Vec::new();
        for record in records {
            let stamp = record.stamp().filter(|stamp| stamp.producer == engine);
            let number = stamp.and_then(|stamp| i64::try_from(stamp.number).ok());
            let Some(number) = number.filter(|number| *number > known) else {
                continue;
            };
            let at = record.at;
            let id = record
                .event_id()
                .ok_or(RecoveryError::NoId { at, number })?;
            ids.push(id.as_uuid());
            unknown.outputs += 1;
            unknown.last_number = unknown.last_number.max(number);
        }
        if !ids.is_empty() {
            keep(engine, &ids, conn).await?;
        }
    }
    Ok(unknown)
}

/// The next records; waits for a log that cannot be read now.
async fn next_batch(replay: &mut Replay) -> Result<Option<Vec<Record>>, ReadError> {
    loop {
        match replay.next_batch().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "the read of what was told goes on after a pause");
                tokio::time::sleep(READ_PAUSE).await;
            }
            read => return read,
        }
    }
}

async fn keep(engine: &str, ids: &[Uuid], conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO engine.told (engine, event_id)
         SELECT $1, event_id FROM UNNEST($2::uuid[]) AS found (event_id) ORDER BY event_id
         ON CONFLICT DO NOTHING",
        engine,
        ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn go_on_behind(
    engine: &str,
    stretch: &Stretch,
    last_number: i64,
    conn: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (topic, partition) = (stretch.topic.as_str(), stretch.partition.0);
    sqlx::query!(
        "UPDATE engine.counter SET last_number = $4
         WHERE engine = $1 AND topic = $2 AND partition = $3 AND last_number < $4",
        engine,
        topic,
        partition,
        last_number,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE engine.relay SET acked_offset = greatest(acked_offset, $4)
         WHERE engine = $1 AND topic = $2 AND partition = $3",
        engine,
        topic,
        partition,
        stretch.end.0 - 1,
    )
    .execute(conn)
    .await?;
    Ok(())
}
