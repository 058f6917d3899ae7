//! What must hold for every projection, whatever it projects.

use anyhow::{Result, ensure};
use compline_event::{Partition, Recorded, Topic};
use compline_readmodel::{Projection, Role, generation::schema_name};
use sqlx::Connection as _;

use crate::{Dump, TestDatabase};

/// The rows that `events` make, folded in batches of `batch`.
pub async fn fold<P: Projection>(events: &[Recorded], batch: usize) -> Result<Dump> {
    let database = TestDatabase::new().await?;
    database.create::<P>().await?;
    let schema = schema_name(P::NAME, 1);
    let mut conn = database.connect(Role::Projector, &schema).await?;
    for events in events.chunks(batch.max(1)) {
        apply::<P>(&mut conn, events).await?;
    }
    Dump::of(&mut conn, &schema).await
}

/// One batch, as the projector applies it, without its protocol.
pub async fn apply<P: Projection>(
    conn: &mut sqlx::PgConnection,
    events: &[Recorded],
) -> Result<()> {
    let mut tx = conn.begin().await?;
    let mut rows = P::load(&mut tx, events).await?;
    for event in events {
        P::apply(&mut rows, event)?;
    }
    P::store(&mut tx, rows).await?;
    tx.commit().await?;
    Ok(())
}

/// Any split of a log into batches gives the same rows.
pub async fn batches_do_not_matter<P: Projection>(events: &[Recorded]) -> Result<()> {
    let whole = fold::<P>(events, events.len()).await?;
    for batch in [1, 2, 3, 7, 50] {
        let split = fold::<P>(events, batch).await?;
        same(&whole, &split, &format!("batches of {batch}"))?;
    }
    Ok(())
}

/// Any interleaving that keeps each partition's order gives the same rows.
pub async fn interleaving_does_not_matter<P: Projection>(events: &[Recorded]) -> Result<()> {
    let whole = fold::<P>(events, events.len()).await?;
    let mut apart = events.to_vec();
    apart.sort_by_key(|event| place(event));
    same(
        &whole,
        &fold::<P>(&apart, 11).await?,
        "one partition after another",
    )?;
    apart.sort_by_key(|event| std::cmp::Reverse(place(event)));
    same(
        &whole,
        &fold::<P>(&apart, 5).await?,
        "the last partition first",
    )
}

fn place(event: &Recorded) -> (Topic, Partition) {
    (event.at.topic, event.at.partition)
}

fn same(expected: &Dump, found: &Dump, when: &str) -> Result<()> {
    let differences = expected.difference(found, 5);
    ensure!(
        differences.is_empty(),
        "{when}:\n{}",
        differences
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    );
    Ok(())
}
