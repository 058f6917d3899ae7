//! The second opinion: folds the log from its start, without the product's loop,
//! fences, marks or outbox, and compares every row with what stands in Postgres.
//!
//! It shares `load`, `apply` and `store` (or `decide`) with the product and nothing
//! else: what it finds is an event lost, doubled, or out of order on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use compline_engine::{Engine, Outputs, state_schema};
use compline_event::{EventId, Recorded, Topic};
use compline_eventlog::{Log, Record};
use compline_readmodel::{
    Database, Generation, Projection, Role,
    generation::{self, Plan, schema_name},
};
use sqlx::{Connection as _, PgConnection};

use crate::{Stage, dump_without, postgres, same_rows};

/// Folded at once; how many does not matter, by law.
const BATCH: usize = 5_000;

/// How many ids a difference names.
const SHOWN: usize = 10;

/// A topic as readers must take it: each partition in order, repeats of numbered
/// outputs left out.
#[derive(Debug, Default)]
pub struct Told {
    pub events: Vec<Recorded>,
    /// Numbered outputs that stood in the log more than once.
    pub repeats: usize,
}

/// Reads all of `topic` and checks the numbers of every producer.
///
/// # Errors
/// A hole, an output that stands under two numbers, or a record that is no event.
pub async fn read(log: &Log, topic: Topic) -> Result<Told> {
    let mut told = Told::default();
    let mut ids: HashSet<EventId> = HashSet::new();
    for partition in Log::partitions(topic) {
        let bounds = log.bounds(topic, partition).await?;
        let mut replay = log.replay(topic, partition, bounds.start, bounds.end)?;
        let mut last = HashMap::new();
        while let Some(records) = replay.next_batch().await? {
            for record in records {
                if !is_new(&record, &mut last)? {
                    told.repeats += 1;
                    continue;
                }
                let event = record.decode().with_context(|| record.at.to_string())?;
                let id = event.envelope.event_id;
                let is_first = ids.insert(id) || event.envelope.stamp.is_none();
                ensure!(is_first, "{}: {id} has had another number", record.at);
                told.events.push(event);
            }
        }
    }
    Ok(told)
}

/// Numbers begin at 1 and have no holes; whatever does not go beyond the last one
/// is a repeat.
fn is_new(record: &Record, last: &mut HashMap<String, u64>) -> Result<bool> {
    let Some(stamp) = record.stamp() else {
        return Ok(true);
    };
    let known = last.entry(stamp.producer.clone()).or_insert(0);
    if stamp.number <= *known {
        return Ok(false);
    }
    let (at, number, producer) = (record.at, stamp.number, stamp.producer);
    ensure!(
        number == *known + 1,
        "{at}: {number} follows {known} of {producer}"
    );
    *known = number;
    Ok(true)
}

/// Compares the first generation of `P`, as [`generation`] does.
pub async fn projection<P: Projection>(
    log: &Log,
    live: &Database,
    without: &[&str],
) -> Result<usize> {
    generation::<P>(log, live, 1, without).await
}

/// Compares a generation of `P` with what the log says; columns named in `without`
/// may differ. Nothing must be on its way. Gives the number of rows.
pub async fn generation<P: Projection>(
    log: &Log,
    live: &Database,
    generation: Generation,
    without: &[&str],
) -> Result<usize> {
    let mut stage = Stage::<P>::open().await;
    for topic in P::TOPICS {
        for batch in read(log, *topic).await?.events.chunks(BATCH) {
            stage.given(batch).await;
        }
    }
    let schema = schema_name(P::NAME, generation);
    let scratch = stage
        .postgres()
        .database()
        .options(Role::Projector, stage.schema());
    let mut scratch = PgConnection::connect_with(&scratch).await?;
    let mut live = PgConnection::connect_with(&live.options(Role::Projector, &schema)).await?;
    let expected = dump_without(&mut scratch, stage.schema(), without).await?;
    let found = dump_without(&mut live, &schema, without).await?;
    same_rows(("by the log", &expected), ("in the tables", &found)).context(P::NAME)?;
    Ok(found.lines().count())
}

/// Decides everything once more, the inputs of `first` before the others, and
/// compares with the outputs that the log holds: the same ids, each once. Gives
/// the number of outputs.
///
/// What an engine tells must not depend on the order in which its topics come, or
/// the ids differ.
pub async fn engine<E: Engine>(log: &Log, engine: &E, first: Topic) -> Result<usize> {
    let mut inputs = read(log, first).await?.events;
    for topic in E::INPUTS.iter().filter(|topic| **topic != first) {
        inputs.extend(read(log, *topic).await?.events);
    }
    let expected = decide(engine, &inputs).await?;

    let mut found = BTreeSet::new();
    for topic in E::OUTPUTS {
        let events = read(log, *topic).await?.events.into_iter();
        let own = events.filter(|event| {
            let stamp = event.envelope.stamp.as_ref();
            stamp.is_some_and(|stamp| stamp.producer == E::NAME)
        });
        found.extend(own.map(|event| event.envelope.event_id));
    }
    let lost = expected.iter().filter(|(id, _)| !found.contains(id));
    let lost: Vec<_> = lost.take(SHOWN).collect();
    let unexpected = found.iter().filter(|id| !expected.contains_key(id));
    let unexpected: Vec<_> = unexpected.take(SHOWN).collect();
    ensure!(
        lost.is_empty() && unexpected.is_empty(),
        "engine {}: {} outputs expected, {} found; lost {lost:?}; unexpected {unexpected:?}",
        E::NAME,
        expected.len(),
        found.len()
    );
    Ok(found.len())
}

/// The ids of all outputs, with their types.
async fn decide<E: Engine>(
    engine: &E,
    inputs: &[Recorded],
) -> Result<BTreeMap<EventId, &'static str>> {
    let scratch = postgres().await;
    let schema = state_schema(E::NAME);
    let plan = Plan {
        projection: E::NAME.to_owned(),
        generation: 1,
        schema: schema.clone(),
        migrator: E::migrator(),
        writer: Role::Engine,
        starts: Vec::new(),
    };
    generation::create(scratch.database(), &plan).await?;
    let mut conn = scratch.connect(Role::Engine, &schema).await;
    let mut ids = BTreeMap::new();
    for batch in inputs.chunks(BATCH) {
        let mut tx = conn.begin().await?;
        let mut outputs = Outputs::default();
        let mut state = engine.load(&mut tx, batch).await?;
        for input in batch {
            engine
                .decide(&mut state, input, &mut outputs)
                .with_context(|| format!("deciding over {}", input.at))?;
        }
        engine.store(&mut tx, state).await?;
        tx.commit().await?;
        for output in outputs.into_vec() {
            let id = EventId::derived(E::NAME, output.about, &output.slot);
            let twice = ids.insert(id, output.event.type_name());
            ensure!(twice.is_none(), "{id} is decided twice ({})", output.slot);
        }
    }
    Ok(ids)
}
