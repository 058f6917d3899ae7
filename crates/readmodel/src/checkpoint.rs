//! The fence that every batch passes first (protocol §1).
//!
//! | row found | means | what the owner does |
//! |---|---|---|
//! | `next_offset` and `epoch` as remembered | ours | goes on |
//! | same epoch, other `next_offset` | Postgres lost its tail, or a COMMIT's answer was lost | seeks to what the row says |
//! | same epoch, same `next_offset`, `held_at` before the batch's end | somebody compares generations | goes up to it and waits |
//! | other epoch, group still assigns us | another owner was here, perhaps a late one | claims again after a back-off |
//! | other epoch, group took it away | the partition is another's | drops it |

use compline_event::{EventId, Offset, Partition, Topic};
use sqlx::{Connection as _, PgConnection};

use crate::{
    crash::{self, Guard},
    generation::Generation,
};

/// Whose position, of which partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// A projection's name, or `engine:<name>`.
    pub projection: String,
    pub generation: Generation,
    pub topic: Topic,
    pub partition: Partition,
}

/// Places of one projection's generation, as statements want them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) projection: String,
    pub(crate) generation: Generation,
    pub(crate) topics: Vec<String>,
    pub(crate) partitions: Vec<i32>,
}

impl Places {
    pub(crate) fn of(places: &[&Place]) -> Self {
        let Some(first) = places.first() else {
            return Self::default();
        };
        debug_assert!(places.iter().all(|place| {
            (&place.projection, place.generation) == (&first.projection, first.generation)
        }));
        Self {
            projection: first.projection.clone(),
            generation: first.generation,
            topics: places.iter().map(|p| p.topic.as_str().to_owned()).collect(),
            partitions: places.iter().map(|p| p.partition.0).collect(),
        }
    }

    /// Which of the places a row belongs to.
    pub(crate) fn index(&self, topic: &str, partition: i32) -> Option<usize> {
        let mut at = self.topics.iter().zip(&self.partitions);
        at.position(|(t, p)| t == topic && *p == partition)
    }
}

/// Counts the owners of a place; an older one finds the row changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// The right to move one checkpoint, and where it stands.
#[derive(Clone, Debug)]
pub struct Fence {
    pub place: Place,
    pub epoch: Epoch,
    pub next_offset: Offset,
    /// Of the record before `next_offset`; absent at the start, and where that
    /// record had none that could be read.
    pub last_event_id: Option<EventId>,
    /// Not beyond this, see [`crate::hold`].
    pub held_at: Option<Offset>,
}

/// What became of the attempt to move.
#[derive(Debug, PartialEq, Eq)]
pub enum Advance {
    Moved,
    /// The row is not as remembered: roll back, forget, and [`Fence::look`].
    Lost,
}

impl Fence {
    /// Takes the place: whoever held it before can commit no more. `None` when
    /// there is no such row, which is never a beginning.
    pub async fn claim(
        conn: &mut PgConnection,
        place: &Place,
    ) -> Result<Option<Fence>, sqlx::Error> {
        let mut tx = conn.begin().await?;
        // A claim that Postgres forgets would let its predecessor back in.
        sqlx::query!("SET LOCAL synchronous_commit = on")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query!(
            "UPDATE compline.checkpoint SET epoch = epoch + 1
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4
             RETURNING epoch, next_offset, last_event_id, held_at",
            place.projection,
            place.generation,
            place.topic.as_str(),
            place.partition.0,
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(row.map(|row| Fence {
            place: place.clone(),
            epoch: Epoch(row.epoch),
            next_offset: Offset(row.next_offset),
            last_event_id: row.last_event_id.map(EventId::new),
            held_at: row.held_at.map(Offset),
        }))
    }

    /// The row as it is now, without claiming it.
    pub async fn look(
        conn: &mut PgConnection,
        place: &Place,
    ) -> Result<Option<Fence>, sqlx::Error> {
        let row = sqlx::query!(
            "SELECT epoch, next_offset, last_event_id, held_at FROM compline.checkpoint
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4",
            place.projection,
            place.generation,
            place.topic.as_str(),
            place.partition.0,
        )
        .fetch_optional(conn)
        .await?;
        Ok(row.map(|row| Fence {
            place: place.clone(),
            epoch: Epoch(row.epoch),
            next_offset: Offset(row.next_offset),
            last_event_id: row.last_event_id.map(EventId::new),
            held_at: row.held_at.map(Offset),
        }))
    }
}

/// A fence, and where its checkpoint is to stand next.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    pub fence: &'a Fence,
    pub to: Offset,
    /// Of the record before `to`.
    pub last_event_id: Option<EventId>,
}

/// Where the checkpoint must be found: where its owner left it.
async fn left_at(conn: &mut PgConnection, fence: &Fence) -> Result<Offset, sqlx::Error> {
    if crash::is_off(Guard::NextOffset) {
        let found = Fence::look(conn, &fence.place).await?;
        return Ok(found.map_or(fence.next_offset, |found| found.next_offset));
    }
    Ok(fence.next_offset)
}

/// Moves checkpoints of one projection's generation, all or none of them, from
/// where their fences stand. The first statement of a batch's READ COMMITTED
/// transaction: until it ends nobody else moves them.
pub async fn advance(conn: &mut PgConnection, moves: &[Move<'_>]) -> Result<Advance, sqlx::Error> {
    let places: Vec<&Place> = moves.iter().map(|each| &each.fence.place).collect();
    let of = Places::of(&places);
    let (mut to, mut ids) = (Vec::new(), Vec::new());
    let (mut from, mut epochs) = (Vec::new(), Vec::new());
    for each in moves {
        to.push(each.to.0);
        ids.push(each.last_event_id.map(EventId::as_uuid));
        from.push(left_at(conn, each.fence).await?.0);
        epochs.push(each.fence.epoch.0);
    }
    let done = sqlx::query!(
        // Locked in one order, as whoever holds several of them does.
        "WITH locked AS (
             SELECT topic, partition FROM compline.checkpoint
             WHERE projection = $1 AND generation = $2
               AND (topic, partition) IN (SELECT * FROM UNNEST($3::text[], $4::int[]))
             ORDER BY topic, partition FOR NO KEY UPDATE
         )
         UPDATE compline.checkpoint
         SET next_offset = moved.next_offset, last_event_id = moved.last_event_id
         FROM UNNEST($3::text[], $4::int[], $5::bigint[], $6::uuid[], $7::bigint[], $8::bigint[])
              AS moved (topic, partition, next_offset, last_event_id, from_offset, epoch),
              locked
         WHERE projection = $1 AND generation = $2
           AND checkpoint.topic = moved.topic AND checkpoint.partition = moved.partition
           AND locked.topic = moved.topic AND locked.partition = moved.partition
           AND checkpoint.next_offset = moved.from_offset AND checkpoint.epoch = moved.epoch
           AND coalesce(checkpoint.held_at >= moved.next_offset, true)",
        of.projection,
        of.generation,
        &of.topics,
        &of.partitions,
        &to,
        &ids as &[Option<uuid::Uuid>],
        &from,
        &epochs,
    )
    .execute(conn)
    .await?;
    let all = u64::try_from(moves.len()).expect("an in-memory length");
    Ok(match done.rows_affected() == all {
        true => Advance::Moved,
        false => Advance::Lost,
    })
}
