//! Making an outbox agree with the log (protocol §2).
//!
//! | the log holds | the outbox has | it is |
//! |---|---|---|
//! | the outputs of the outbox, as they are numbered | the rest | told; only its acknowledgement was not heard |
//! | one under a number that the outbox gave another | | adopted by its id: told by another history of these tables |
//! | one of the outbox, under another number | | told |
//! | | one that the log does not hold | numbered anew, behind all that the log holds |
//!
//! The second to fourth come of tables that went back while something went on from others.
//! What is numbered anew was not told, or is a repeat where it stands: readers have taken
//! its number for the other.

use std::collections::HashSet;

use bytes::Bytes;
use compline_event::{DecodeError, Envelope, Offset};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    RecoveryError,
    look::{Found, Stretch, Told, keep},
};
use crate::outbox::Rows;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Outputs that the database did not know.
    pub(super) adopted: u64,
    /// Outputs that were not told and have other numbers now.
    pub(super) renumbered: u64,
}

/// An output that waits to be told.
struct Waiting {
    number: i64,
    key: Vec<u8>,
    event: Bytes,
    id: Uuid,
}

/// Goes on behind what was found, with the acknowledged offset at the stretch's end.
pub(super) async fn settle(
    engine: &str,
    stretch: &Stretch,
    mut found: Found,
    conn: &mut PgConnection,
) -> Result<Settled, RecoveryError> {
    let mut tx = conn.begin().await?;
    let acked = lock(engine, stretch, &mut tx).await?;
    // A relay has heard of those meanwhile.
    found.drawn.retain(|told| told.offset > acked);
    let mut settled = Settled::default();
    if found.unknown > 0 || !found.drawn.is_empty() {
        let told = waiting(engine, stretch, Some(&found.drawn), &mut tx).await?;
        if found.unknown == 0 && are_same(&told, &found.drawn) {
            forget(engine, stretch, Some(&found.drawn), &mut tx).await?;
        } else {
            settled = renumber(engine, stretch, found, &mut tx).await?;
        }
    }
    sqlx::query!(
        "UPDATE engine.relay SET acked_offset = greatest(acked_offset, $4)
         WHERE engine = $1 AND topic = $2 AND partition = $3",
        engine,
        stretch.topic.as_str(),
        stretch.partition.0,
        stretch.end.0 - 1,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(settled)
}

fn are_same(waiting: &[Waiting], told: &[Told]) -> bool {
    let same =
        |(waiting, told): (&Waiting, &Told)| (waiting.number, waiting.id) == (told.number, told.id);
    waiting.len() == told.len() && waiting.iter().zip(told).all(same)
}

/// Nobody draws, and no relay hears of anything, until the transaction ends. Gives the
/// last acknowledged offset.
async fn lock(
    engine: &str,
    stretch: &Stretch,
    conn: &mut PgConnection,
) -> Result<Offset, sqlx::Error> {
    let (topic, partition) = (stretch.topic.as_str(), stretch.partition.0);
    sqlx::query!(
        "SELECT last_number FROM engine.counter
         WHERE engine = $1 AND topic = $2 AND partition = $3 FOR UPDATE",
        engine,
        topic,
        partition,
    )
    .fetch_one(&mut *conn)
    .await?;
    let acked = sqlx::query_scalar!(
        "SELECT acked_offset FROM engine.relay
         WHERE engine = $1 AND topic = $2 AND partition = $3 FOR UPDATE",
        engine,
        topic,
        partition,
    )
    .fetch_one(conn)
    .await?;
    Ok(Offset(acked))
}

/// Two histories met. Holds the partition's outbox in memory.
async fn renumber(
    engine: &str,
    stretch: &Stretch,
    found: Found,
    conn: &mut PgConnection,
) -> Result<Settled, RecoveryError> {
    let mut outbox = waiting(engine, stretch, None, conn).await?;
    // The last acknowledged number, should it be later than what was read.
    let before = outbox.first().map_or(0, |it| it.number - 1);
    let mut last_number = found.last_number.max(before);

    let decided: Vec<Uuid> = outbox.iter().map(|it| it.id).collect();
    let kept = no_more_awaited(engine, &decided, conn).await?;
    let unknown = found.unknown.saturating_sub(kept.len() as u64);
    let told: HashSet<Uuid> = found.drawn.iter().map(|it| it.id).chain(kept).collect();
    outbox.retain(|it| !told.contains(&it.id));

    let decided: HashSet<Uuid> = decided.into_iter().collect();
    let adopted = found.drawn.iter().map(|it| it.id);
    let adopted: Vec<Uuid> = adopted.filter(|id| !decided.contains(id)).collect();
    keep(engine, &adopted, conn).await?;

    forget(engine, stretch, None, conn).await?;
    let mut rows = Rows::default();
    let mut renumbered = 0;
    for it in outbox {
        last_number += 1;
        renumbered += u64::from(it.number != last_number);
        let number = u64::try_from(last_number).expect("numbers are positive");
        let event = Envelope::renumbered(it.event, number)
            .map_err(|source| not_an_event(stretch, it.number, source))?;
        let place = (stretch.topic, stretch.partition);
        rows.push(place, last_number, it.key, event.to_vec());
    }
    rows.insert(conn, engine).await?;
    go_on_behind(engine, stretch, last_number, conn).await?;
    Ok(Settled {
        adopted: unknown + adopted.len() as u64,
        renumbered,
    })
}

/// The outbox in the order of its numbers: where `told` is given, under those alone.
async fn waiting(
    engine: &str,
    stretch: &Stretch,
    told: Option<&[Told]>,
    conn: &mut PgConnection,
) -> Result<Vec<Waiting>, RecoveryError> {
    let numbers = told.map(numbers_of);
    let rows = sqlx::query!(
        "SELECT number, key, event FROM engine.outbox
         WHERE engine = $1 AND topic = $2 AND partition = $3
           AND ($4::bigint[] IS NULL OR number = ANY ($4))
         ORDER BY number",
        engine,
        stretch.topic.as_str(),
        stretch.partition.0,
        numbers.as_deref(),
    )
    .fetch_all(conn)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let event = Bytes::from(row.event);
        Ok(Waiting {
            number: row.number,
            key: row.key,
            id: Envelope::id_of(event.clone())
                .map_err(|source| not_an_event(stretch, row.number, source))?
                .as_uuid(),
            event,
        })
    });
    rows.collect()
}

/// Takes out of the outbox: where `told` is given, those alone.
async fn forget(
    engine: &str,
    stretch: &Stretch,
    told: Option<&[Told]>,
    conn: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let numbers = told.map(numbers_of);
    sqlx::query!(
        "DELETE FROM engine.outbox
         WHERE engine = $1 AND topic = $2 AND partition = $3
           AND ($4::bigint[] IS NULL OR number = ANY ($4))",
        engine,
        stretch.topic.as_str(),
        stretch.partition.0,
        numbers.as_deref(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn numbers_of(told: &[Told]) -> Vec<i64> {
    told.iter().map(|told| told.number).collect()
}

/// Which of `decided` are kept as told. They wait to be decided again no more.
async fn no_more_awaited(
    engine: &str,
    decided: &[Uuid],
    conn: &mut PgConnection,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "DELETE FROM engine.told WHERE engine = $1 AND event_id = ANY ($2) RETURNING event_id",
        engine,
        decided,
    )
    .fetch_all(conn)
    .await
}

/// A relay that has read the outbox under its old numbers is deposed: what it hears of
/// them counts no more.
async fn go_on_behind(
    engine: &str,
    stretch: &Stretch,
    last_number: i64,
    conn: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (topic, partition) = (stretch.topic.as_str(), stretch.partition.0);
    sqlx::query!(
        "UPDATE engine.counter SET last_number = $4
         WHERE engine = $1 AND topic = $2 AND partition = $3",
        engine,
        topic,
        partition,
        last_number,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE engine.relay SET epoch = epoch + 1
         WHERE engine = $1 AND topic = $2 AND partition = $3",
        engine,
        topic,
        partition,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn not_an_event(stretch: &Stretch, number: i64, source: DecodeError) -> RecoveryError {
    RecoveryError::NotAnEvent {
        topic: stretch.topic,
        partition: stretch.partition,
        number,
        source,
    }
}
