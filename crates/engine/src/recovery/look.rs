//! Reading the outputs behind the stored offsets.

use std::{collections::HashMap, time::Duration};

use compline_event::{Offset, Partition, Topic};
use compline_eventlog::{Log, ReadError, Record, Replay};
use compline_readmodel::Lease;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    RecoveryError,
    settle::{Settled, settle},
};
use crate::{
    ledger::{Ledger, Place},
    metric,
};

/// How often a process asks whether another is done with looking.
const TURN_INTERVAL: Duration = Duration::from_millis(100);

/// How long a read that failed waits before it goes on.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// How long this process's own appends may be under way before a look is put off.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// What stands between an offset that is known to be in the log and the log's end.
pub(super) struct Stretch {
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    from: Offset,
    pub(super) end: Offset,
    /// The last number before `from`.
    mark: i64,
}

/// Outputs of one stretch, without those that readers drop as repeats.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Under numbers that were drawn here too, perhaps for something else. No more than
    /// the outbox holds, for the others are repeats.
    pub(super) drawn: Vec<Told>,
    /// How many more there are. Their ids are kept.
    pub(super) unknown: u64,
    /// The last number of all.
    pub(super) last_number: i64,
}

/// An output that stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) offset: Offset,
    pub(super) number: i64,
    pub(super) id: Uuid,
}

/// Adopts what stands behind the acknowledged offsets, and tells `ledger`.
pub(super) async fn look(
    engine: &'static str,
    log: &Log,
    pool: &PgPool,
    ledger: &Ledger,
    under_way: &Mutex<()>,
) -> Result<(), RecoveryError> {
    // One session for all: it is of one server.
    let mut conn = Lease::of(pool).await?;
    if stretches(engine, log, under_way, &mut conn)
        .await?
        .is_empty()
    {
        return tell(engine, &mut conn, ledger).await;
    }
    // One process at a time: ids that come again after they were decided again
    // would stay. The lock goes with its session, so this one is not given back.
    let mut conn = conn.detach();
    while !take_turn(engine, &mut conn).await? {
        tokio::time::sleep(TURN_INTERVAL).await;
    }
    let stretches = stretches(engine, log, under_way, &mut conn).await?;
    // After the ends: a number is drawn before its output is appended, so whatever
    // stands below an end was drawn by now, though another process relays.
    let drawn = drawn(engine, &mut conn).await?;
    for stretch in stretches {
        let (topic, partition) = (stretch.topic, stretch.partition);
        let known = drawn.get(&(topic, partition)).copied().unwrap_or(0);
        let start = log.bounds(topic, partition).await?.start;
        let replay = log.replay(topic, partition, stretch.from.max(start), stretch.end)?;
        let found = read(engine, replay, (stretch.mark, known), &mut conn).await?;
        let Settled {
            adopted,
            renumbered,
        } = settle(engine, &stretch, found, &mut conn).await?;
        if adopted + renumbered > 0 {
            tracing::warn!(
                engine, %topic, %partition, outputs = adopted, renumbered,
                "the log holds outputs that the database does not know; going on behind them"
            );
            metrics::counter!(metric::FOUND, "engine" => engine).increment(adopted);
        }
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
    under_way: &Mutex<()>,
    conn: &mut PgConnection,
) -> Result<Vec<Stretch>, RecoveryError> {
    // What is under way would land behind the ends. Another process's may.
    let landed = tokio::time::timeout(UNDER_WAY, under_way.lock());
    let _landed = landed.await.map_err(|_| RecoveryError::UnderWay)?;
    // All by one snapshot: what is acknowledged leaves the outbox as its offset is kept.
    let rows = sqlx::query!(
        r#"SELECT topic, partition, acked_offset, coalesce(
               (SELECT min(number) - 1 FROM engine.outbox
                WHERE outbox.engine = $1 AND outbox.topic = relay.topic
                  AND outbox.partition = relay.partition),
               last_number) AS "mark!"
           FROM engine.relay JOIN engine.counter USING (engine, topic, partition)
           WHERE engine = $1"#,
        engine
    )
    .fetch_all(conn)
    .await?;
    let acked: HashMap<(Topic, Partition), (Offset, i64)> = rows
        .into_iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            Some((place, (Offset(row.acked_offset), row.mark)))
        })
        .collect();
    let places: Vec<_> = acked.keys().copied().collect();
    let ends = log.ends(&places).await?.into_iter();
    let stretch = ends.map(|(topic, partition, end)| {
        let (acked, mark) = acked[&(topic, partition)];
        Stretch {
            topic,
            partition,
            from: acked.next(),
            end,
            mark,
        }
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

/// Finds the engine's outputs with numbers above `mark`, and keeps the ids of those above
/// `drawn`.
async fn read(
    engine: &str,
    mut replay: Replay,
    (mark, drawn): (i64, i64),
    conn: &mut PgConnection,
) -> Result<Found, RecoveryError> {
    let mut found = Found {
        last_number: mark,
        ..Found::default()
    };
    while let Some(records) = next_batch(&mut replay).await? {
        let mut ids = Vec::new();
        for record in records {
            let stamp = record.stamp().filter(|stamp| stamp.producer == engine);
            let number = stamp.and_then(|stamp| i64::try_from(stamp.number).ok());
            // Others are dropped by whoever reads them.
            let Some(number) = number.filter(|number| *number > found.last_number) else {
                continue;
            };
            let (at, offset) = (record.at, record.at.offset);
            let id = record.event_id();
            let id = id.ok_or(RecoveryError::NoId { at, number })?.as_uuid();
            found.last_number = number;
            if number > drawn {
                ids.push(id);
                found.unknown += 1;
            } else {
                found.drawn.push(Told { offset, number, id });
            }
        }
        if !ids.is_empty() {
            keep(engine, &ids, conn).await?;
        }
    }
    Ok(found)
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

/// Keeps the ids of what the log holds.
pub(super) async fn keep(
    engine: &str,
    ids: &[Uuid],
    conn: &mut PgConnection,
) -> Result<(), sqlx::Error> {
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
