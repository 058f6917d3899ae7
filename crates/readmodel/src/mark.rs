//! What was taken from each producer: how repeats are dropped and holes seen.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;

use crate::checkpoint::{Place, Places};

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
}

/// Reads the marks of places of one projection's generation, in the batch's
/// transaction and never before; answers in the order of `places`.
pub async fn load(conn: &mut PgConnection, places: &[&Place]) -> Result<Vec<Marks>, sqlx::Error> {
    let of = Places::of(places);
    let rows = sqlx::query!(
        "SELECT topic, partition, producer, number FROM compline.mark
         JOIN UNNEST($3::text[], $4::int[]) AS place (topic, partition) USING (topic, partition)
         WHERE projection = $1 AND generation = $2",
        of.projection,
        of.generation,
        &of.topics,
        &of.partitions,
    )
    .fetch_all(conn)
    .await?;
    let mut marks = vec![Marks::default(); places.len()];
    for row in rows {
        if let Some(index) = of.index(&row.topic, row.partition) {
            let number = u64::try_from(row.number).unwrap_or(0);
            marks[index].numbers.insert(row.producer, number);
        }
    }
    Ok(marks)
}

/// Writes the marks that were moved; the places are of one projection's
/// generation.
pub async fn store<'a>(
    conn: &mut PgConnection,
    marks: impl IntoIterator<Item = (&'a Place, &'a Marks)>,
) -> Result<(), sqlx::Error> {
    let mut moved: BTreeMap<(&str, i32, &str), i64> = BTreeMap::new();
    let mut place = None;
    for (at, marks) in marks.into_iter().filter(|(_, marks)| marks.touched) {
        place = Some(at);
        for (producer, number) in &marks.numbers {
            let number = i64::try_from(*number).expect("2^63 outputs are never reached");
            moved.insert((at.topic.as_str(), at.partition.0, producer), number);
        }
    }
    let Some(place) = place else {
        return Ok(());
    };
    let (mut topics, mut partitions) = (Vec::new(), Vec::new());
    let (mut producers, mut numbers) = (Vec::new(), Vec::new());
    for ((topic, partition, producer), number) in moved {
        topics.push(topic.to_owned());
        partitions.push(partition);
        producers.push(producer.to_owned());
        numbers.push(number);
    }
    sqlx::query!(
        "INSERT INTO compline.mark (projection, generation, topic, partition, producer, number)
         SELECT $1, $2, topic, partition, producer, number
         FROM UNNEST($3::text[], $4::int[], $5::text[], $6::bigint[])
              AS taken (topic, partition, producer, number)
         ORDER BY topic, partition, producer
         ON CONFLICT (projection, generation, topic, partition, producer)
         DO UPDATE SET number = excluded.number",
        place.projection,
        place.generation,
        &topics,
        &partitions,
        &producers,
        &numbers,
    )
    .execute(conn)
    .await?;
    Ok(())
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
