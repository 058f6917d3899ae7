//! Numbers and the outbox: what makes a decision final.

use std::collections::BTreeMap;

use compline_event::{Envelope, EventId, Partition, Stamp, Topic, partition::partition_of};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    engine::Output,
    ledger::{Draw, Ledger, Place},
};

/// Where outputs go, and how large they may be there.
#[derive(Clone, Debug)]
pub(crate) struct Destinations(BTreeMap<Topic, Destination>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) partitions: u32,
    pub(crate) max_record_bytes: usize,
}

/// Outputs by where they go; each with its key.
type Placed = BTreeMap<Place, Vec<(Vec<u8>, Output)>>;

/// What an envelope and a record add to a payload and a key, at most: ids,
/// times, names and headers.
const OVERHEAD_BYTES: usize = 2_048;

/// Why an output can never be appended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsendable {
    #[error("output {event_type} has no topic of this engine")]
    NoTopic { event_type: &'static str },
    #[error("output {event_type} of {size} bytes is larger than topic {topic} takes ({limit})")]
    TooLarge {
        event_type: &'static str,
        topic: Topic,
        size: usize,
        limit: usize,
    },
}

impl Destinations {
    pub(crate) fn new(topics: impl IntoIterator<Item = (Topic, Destination)>) -> Self {
        Self(topics.into_iter().collect())
    }

    /// Refuses, before anything is decided, what the log would refuse after.
    pub(crate) fn check(&self, output: &Output) -> Result<(), Unsendable> {
        let event_type = output.event.type_name();
        let (topic, key) = output
            .event
            .destination(output.tenant)
            .ok_or(Unsendable::NoTopic { event_type })?;
        let destination = self
            .0
            .get(&topic)
            .ok_or(Unsendable::NoTopic { event_type })?;
        let size = output.event.encoded_len() + key.len() + OVERHEAD_BYTES;
        if size > destination.max_record_bytes {
            return Err(Unsendable::TooLarge {
                event_type,
                topic,
                size,
                limit: destination.max_record_bytes,
            });
        }
        Ok(())
    }

    fn place(&self, output: &Output) -> (Place, Vec<u8>) {
        let (topic, key) = output
            .event
            .destination(output.tenant)
            .expect("checked when it was decided");
        let partition = partition_of(&key, self.0[&topic].partitions);
        ((topic, partition), key.to_vec())
    }
}

/// Numbers `outputs` and puts them into the outbox; gives what was drawn. Call it
/// last in the transaction: the counters stay locked until it ends.
///
/// # Errors
/// Transient, also when the database went back: whoever looks into the log then may
/// draw.
pub(crate) async fn fill(
    conn: &mut PgConnection,
    engine: &str,
    destinations: &Destinations,
    ledger: &Ledger,
    outputs: Vec<Output>,
    now: OffsetDateTime,
) -> Result<Vec<Draw>, sqlx::Error> {
    if outputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut placed = Placed::new();
    for output in outputs {
        let (place, key) = destinations.place(&output);
        placed.entry(place).or_default().push((key, output));
    }
    let draws = draw_numbers(conn, engine, &placed, ledger).await?;

    let mut rows = Rows::default();
    for draw in &draws {
        let outputs = placed.remove(&draw.place).unwrap_or_default();
        for (number, (key, output)) in (draw.first..).zip(outputs) {
            let stamp = Stamp {
                producer: engine.to_owned(),
                number: u64::try_from(number).expect("numbers are positive"),
            };
            let envelope = seal(engine, output, stamp, now);
            rows.push(draw.place, number, key, envelope.encode().to_vec());
        }
    }
    rows.insert(conn, engine).await?;
    Ok(draws)
}

/// Locks the counters in the order of their key and moves them.
async fn draw_numbers(
    conn: &mut PgConnection,
    engine: &str,
    placed: &Placed,
    ledger: &Ledger,
) -> Result<Vec<Draw>, sqlx::Error> {
    let mut topics = Vec::with_capacity(placed.len());
    let mut partitions = Vec::with_capacity(placed.len());
    let mut counts = Vec::with_capacity(placed.len());
    for ((topic, partition), outputs) in placed {
        topics.push(topic.as_str().to_owned());
        partitions.push(partition.0);
        counts.push(i64::try_from(outputs.len()).expect("a batch is small"));
    }
    let locked = sqlx::query!(
        r#"WITH wanted AS (
               SELECT * FROM UNNEST($2::text[], $3::int[], $4::bigint[]) AS wanted (topic, partition, outputs)
           ), locked AS (
               SELECT topic, partition FROM engine.counter
               WHERE engine = $1 AND (topic, partition) IN (SELECT topic, partition FROM wanted)
               ORDER BY topic, partition FOR UPDATE
           )
           UPDATE engine.counter SET last_number = last_number + wanted.outputs
           FROM wanted JOIN locked USING (topic, partition)
           WHERE counter.engine = $1 AND counter.topic = wanted.topic AND counter.partition = wanted.partition
           RETURNING counter.topic, counter.partition, last_number AS last,
                     last_number - wanted.outputs + 1 AS "first!",
                     pg_postmaster_start_time() AS "server!""#,
        engine,
        &topics,
        &partitions,
        &counts,
    )
    .fetch_all(conn)
    .await?;
    let draws: Vec<Draw> = locked
        .iter()
        .filter_map(|row| {
            let place = (row.topic.parse().ok()?, Partition(row.partition));
            placed.contains_key(&place).then_some(Draw {
                place,
                first: row.first,
                last: row.last,
            })
        })
        .collect();
    let Some(server) = locked.first().map(|row| row.server) else {
        return Err(lacks_counters(engine));
    };
    if draws.len() != placed.len() {
        return Err(lacks_counters(engine));
    }
    ledger
        .check(server, &draws)
        .map_err(|went_back| sqlx::Error::Protocol(went_back.to_string()))?;
    Ok(draws)
}

fn lacks_counters(engine: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!(
        "engine {engine} lacks counters of its output partitions; run `compline migrate`"
    ))
}

fn seal(engine: &str, output: Output, stamp: Stamp, now: OffsetDateTime) -> Envelope {
    Envelope {
        event_id: EventId::derived(engine, output.about, &output.slot),
        tenant: Some(output.tenant),
        occurred_at: output.occurred_at,
        recorded_at: now,
        source: output.source,
        actor: output.actor,
        causation_id: Some(output.causation_id),
        correlation_id: output.correlation_id,
        stamp: Some(stamp),
        traceparent: output.traceparent,
        event: output.event,
    }
}

/// Of the outbox.
#[derive(Default)]
pub(crate) struct Rows {
    topics: Vec<String>,
    partitions: Vec<i32>,
    numbers: Vec<i64>,
    keys: Vec<Vec<u8>>,
    events: Vec<Vec<u8>>,
}

impl Rows {
    pub(crate) fn push(&mut self, place: Place, number: i64, key: Vec<u8>, event: Vec<u8>) {
        let (topic, partition) = place;
        self.topics.push(topic.as_str().to_owned());
        self.partitions.push(partition.0);
        self.numbers.push(number);
        self.keys.push(key);
        self.events.push(event);
    }

    pub(crate) async fn insert(
        &self,
        conn: &mut PgConnection,
        engine: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "INSERT INTO engine.outbox (engine, topic, partition, number, key, event)
             SELECT $1, topic, partition, number, key, event
             FROM UNNEST($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[])
                  AS decided (topic, partition, number, key, event)",
            engine,
            &self.topics,
            &self.partitions,
            &self.numbers,
            &self.keys,
            &self.events,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
