//! The second opinion: folds the log from its start, without the product's loop,
//! fences, marks or outbox, and compares every row with what stands in Postgres.
//!
//! It shares `load`, `apply` and `store` (or `decide`) with the product and nothing
//! else: what it can find is an event lost, doubled, or out of order on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use compline_engine::{Engine, Outputs};
use compline_event::{EventId, Recorded, Topic};
use compline_eventlog::{Log, Record};
use compline_readmodel::{
    Database, Projection, Role,
    generation::{migrate_schema, schema_name},
};
use sqlx::Connection as _;

use crate::{Dump, TestDatabase, law};

const BATCH: usize = 5_000;

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
/// A hole, or one event id under two numbers.
pub async fn read(log: &Log, topic: Topic) -> Result<Told> {
    let mut told = Told::default();
    let mut ids: HashSet<EventId> = HashSet::new();
    for partition in Log::partitions(topic) {
        let bounds = log.bounds(topic, partition).await?;
        let mut last: HashMap<String, u64> = HashMap::new();
        let mut replay = log.replay(topic, partition, bounds.start, bounds.end)?;
        while let Some(records) = replay.next_batch().await? {
            for record in records {
                if !is_new(&record, &mut last)? {
                    told.repeats += 1;
                    continue;
                }
                let event = record.decode()?;
                let numbered = event.envelope.stamp.is_some();
                ensure!(
                    ids.insert(event.envelope.event_id) || !numbered,
                    "{} tells {} a second time under another number",
                    event.at,
                    event.envelope.event_id
                );
                told.events.push(event);
            }
        }
    }
    Ok(told)
}

fn is_new(record: &Record, last: &mut HashMap<String, u64>) -> Result<bool> {
    let Some(stamp) = record.stamp() else {
        return Ok(true);
    };
    let known = last.entry(stamp.producer.clone()).or_insert(0);
    if stamp.number <= *known {
        return Ok(false);
    }
    ensure!(
        stamp.number == *known + 1,
        "{}: {} follows {known} of {}",
        record.at,
        stamp.number,
        stamp.producer
    );
    *known = stamp.number;
    Ok(true)
}

/// Compares the live generation 1 of `P` with a fold of the log. Columns named in
/// `without` may differ.
pub async fn projection<P: Projection>(
    log: &Log,
    database: &Database,
    without: &[&str],
) -> Result<usize> {
    let mut events = Vec::new();
    for topic in P::TOPICS {
        events.extend(read(log, *topic).await?.events);
    }
    let schema = schema_name(P::NAME, 1);
    let scratch = TestDatabase::new().await?;
    scratch.create::<P>().await?;
    let mut conn = scratch.connect(Role::Projector, &schema).await?;
    for events in events.chunks(BATCH) {
        law::apply::<P>(&mut conn, events).await?;
    }
    let expected = Dump::without(&mut conn, &schema, without).await?;
    let options = database.options(Role::Projector, &schema);
    let mut live = sqlx::PgConnection::connect_with(&options).await?;
    let found = Dump::without(&mut live, &schema, without).await?;
    let differences = expected.difference(&found, 10);
    ensure!(
        differences.is_empty(),
        "{}: the log says (-), Postgres has (+):\n{}",
        P::NAME,
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    );
    Ok(found.rows())
}

/// Decides everything once more from the inputs, `first` before the others, and
/// compares with the outputs that the log holds: the same ids, each once.
pub async fn engine<E: Engine>(log: &Log, engine: &E, first: Topic) -> Result<usize> {
    let scratch = TestDatabase::new().await?;
    let schema = compline_engine::state_schema(E::NAME);
    migrate_schema(&scratch.database(), &schema, &E::migrator()).await?;
    grant(&scratch, &schema).await?;
    let mut conn = scratch.connect(Role::Engine, &schema).await?;

    let mut inputs = read(log, first).await?.events;
    for topic in E::INPUTS.iter().filter(|topic| **topic != first) {
        inputs.extend(read(log, *topic).await?.events);
    }
    let mut expected: BTreeMap<EventId, &'static str> = BTreeMap::new();
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
            let twice = expected.insert(id, output.event.type_name());
            ensure!(twice.is_none(), "{id} is decided twice ({})", output.slot);
        }
    }

    let mut found = BTreeSet::new();
    for topic in E::OUTPUTS {
        for event in read(log, *topic).await?.events {
            let own = event.envelope.stamp.as_ref();
            if own.is_some_and(|stamp| stamp.producer == E::NAME) {
                found.insert(event.envelope.event_id);
            }
        }
    }
    let lost: Vec<_> = expected
        .iter()
        .filter(|(id, _)| !found.contains(id))
        .take(10)
        .collect();
    let unexpected: Vec<_> = found
        .iter()
        .filter(|id| !expected.contains_key(id))
        .take(10)
        .collect();
    ensure!(
        lost.is_empty() && unexpected.is_empty(),
        "engine {}: {} outputs expected, {} found; lost {lost:?}; unexpected {unexpected:?}",
        E::NAME,
        expected.len(),
        found.len()
    );
    Ok(found.len())
}

async fn grant(scratch: &TestDatabase, schema: &str) -> Result<()> {
    use sqlx::{AssertSqlSafe, Executor as _};
    let mut owner = scratch.connect(Role::Owner, schema).await?;
    let statement = format!("GRANT USAGE ON SCHEMA {schema} TO compline_engine");
    owner.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
