//! The fence that every batch passes first (protocol §1).
//!
//! | row found | means | what the owner does |
//! |---|---|---|
//! | `next_offset` and `epoch` as remembered | ours | goes on |
//! | same epoch, other `next_offset` | Postgres lost its tail, or a COMMIT's answer was lost | seeks to what the row says |
//! | other epoch, group still assigns us | another owner was here, perhaps a late one | claims again after a back-off |
//! | other epoch, group took it away | the partition is another's | drops it |

use std::collections::HashMap;

use compline_event::{EventId, Offset, Partition, Topic};
use sqlx::{Connection as _, PgConnection};

use crate::generation::Generation;

/// Whose position, of which partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// A projection's name, or `engine:<name>`.
    pub projection: String,
    pub generation: Generation,
    pub topic: Topic,
    pub partition: Partition,
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
             RETURNING epoch, next_offset, last_event_id",
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
        }))
    }

    /// The row as it is now, without claiming it.
    pub async fn look(
        conn: &mut PgConnection,
        place: &Place,
    ) -> Result<Option<Fence>, sqlx::Error> {
        let row = sqlx::query!(
            "SELECT epoch, next_offset, last_event_id FROM compline.checkpoint
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
        }))
    }

    /// Moves the checkpoint from where this fence stands. The first statement of
    /// the batch's READ COMMITTED transaction: until it ends nobody else moves it.
    pub async fn advance(
        &self,
        conn: &mut PgConnection,
        to: Offset,
        last_event_id: Option<EventId>,
    ) -> Result<Advance, sqlx::Error> {
        let done = sqlx::query!(
            "UPDATE compline.checkpoint SET next_offset = $5, last_event_id = $6
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4
               AND next_offset = $7 AND epoch = $8",
            self.place.projection,
            self.place.generation,
            self.place.topic.as_str(),
            self.place.partition.0,
            to.0,
            last_event_id.map(EventId::as_uuid),
            self.next_offset.0,
            self.epoch.0,
        )
        .execute(conn)
        .await?;
        Ok(match done.rows_affected() {
            1 => Advance::Moved,
            _ => Advance::Lost,
        })
    }
}

/// The last output number that a place has taken from each producer.
///
/// | number | taken before | verdict |
/// |---|---|---|
/// | any | none | `Take`: the first one ever seen sets the mark |
/// | mark + 1 | mark | `Take` |
/// | ≤ mark | mark | `Drop`: a repeat |
/// | > mark + 1 | mark | `Hole`: the partition stops |
#[derive(Clone, Debug, Default)]
pub struct Marks {
    numbers: HashMap<String, u64>,
    touched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Take,
    Drop,
    /// The number that should have come.
    Hole {
        expected: u64,
    },
}

impl Marks {
    pub fn new(numbers: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self {
            numbers: numbers.into_iter().collect(),
            touched: false,
        }
    }

    /// Decides over one output and moves the mark when it is taken, whether it is
    /// then applied or parked.
    pub fn take(&mut self, producer: &str, number: u64) -> Taken {
        match self.numbers.get_mut(producer) {
            None => {
                self.numbers.insert(producer.to_owned(), number);
            }
            Some(mark) if number <= *mark => return Taken::Drop,
            Some(mark) if number == *mark + 1 => *mark = number,
            Some(mark) => {
                return Taken::Hole {
                    expected: *mark + 1,
                };
            }
        }
        self.touched = true;
        Taken::Take
    }

    /// The number last taken from `producer`.
    pub fn of(&self, producer: &str) -> Option<u64> {
        self.numbers.get(producer).copied()
    }

    /// Reads the marks of a place, in the batch's transaction and never before.
    pub async fn load(conn: &mut PgConnection, place: &Place) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query!(
            "SELECT producer, number FROM compline.mark
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND partition = $4",
            place.projection,
            place.generation,
            place.topic.as_str(),
            place.partition.0,
        )
        .fetch_all(conn)
        .await?;
        Ok(Self::new(rows.into_iter().map(|row| {
            (row.producer, u64::try_from(row.number).unwrap_or(0))
        })))
    }

    pub async fn store(&self, conn: &mut PgConnection, place: &Place) -> Result<(), sqlx::Error> {
        if !self.touched {
            return Ok(());
        }
        let (producers, numbers): (Vec<String>, Vec<i64>) = self
            .numbers
            .iter()
            .map(|(producer, number)| {
                let number = i64::try_from(*number).expect("2^63 outputs are never reached");
                (producer.clone(), number)
            })
            .unzip();
        sqlx::query!(
            "INSERT INTO compline.mark (projection, generation, topic, partition, producer, number)
             SELECT $1, $2, $3, $4, producer, number
             FROM UNNEST($5::text[], $6::bigint[]) AS taken (producer, number) ORDER BY producer
             ON CONFLICT (projection, generation, topic, partition, producer)
             DO UPDATE SET number = excluded.number",
            place.projection,
            place.generation,
            place.topic.as_str(),
            place.partition.0,
            &producers,
            &numbers,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_follow_the_table() {
        let mut marks = Marks::default();
        assert_eq!(marks.take("ad", 7), Taken::Take, "the first sets the mark");
        assert_eq!(marks.take("ad", 7), Taken::Drop);
        assert_eq!(marks.take("ad", 6), Taken::Drop);
        assert_eq!(marks.take("ad", 8), Taken::Take);
        assert_eq!(marks.take("ad", 10), Taken::Hole { expected: 9 });
        assert_eq!(marks.of("ad"), Some(8), "a hole moves nothing");
        assert_eq!(marks.take("score", 1), Taken::Take, "producers are apart");
    }
}
