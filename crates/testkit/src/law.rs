//! What must hold of every projection, whatever it shows.
//!
//! | law | the same rows whether |
//! |---|---|
//! | [`batches_change_nothing`] | a log is applied event by event, partition by partition, or in any batches, partitions mingled |
//! | [`keys_do_not_depend_on_each_other`] | a key's events come at their place or, as after a redrive, long after those of others |
//! | [`repeats_change_nothing`] | records stand in the log once or again |
//! | [`replay_gives_the_same`] | the log is folded now or later |
//! | [`a_rebuild_is_equal`] | a generation was there from the beginning, or is built while another goes on |
//! | [`nobody_reads_anothers`] | (no rows: another tenant's are never seen) |
//!
//! Histories are given, or drawn with a seed, so that a failure repeats.

use std::{collections::BTreeMap, slice};

use anyhow::{Context as _, Result, bail, ensure};
use compline_event::{Event, Offset, Partition, Recorded, Stamp, TenantId, Topic};
use compline_eventlog::TopicSpec;
use compline_readmodel::{Marks, Projection, Role, Steward, Taken, generation::schema_name};
use rand::{Rng, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use sqlx::AssertSqlSafe;
use time::Duration;
use uuid::Uuid;

use crate::{Stage, Story, same_rows, stage::project, story::OFFSET_STEP, tables, tenant};

const HISTORIES: u64 = 8;
const EVENTS: usize = 120;
const LARGEST_BATCH: usize = 7;

/// The tenants of a drawn history.
pub const TENANTS: [TenantId; 2] = [tenant(0xa), tenant(0xb)];

/// All laws, on eight drawn histories; `draw` gives an event.
///
/// # Errors
/// The first law that does not hold, with the history's number and what differs.
pub async fn hold<P: Projection>(mut draw: impl FnMut(&mut StdRng) -> Event) -> Result<()> {
    let mut stage = Stage::<P>::open().await;
    for seed in 0..HISTORIES {
        let mut rng = StdRng::seed_from_u64(seed);
        let history = history(&mut rng, &mut draw);
        hold_on(&mut stage, &history, &mut rng)
            .await
            .with_context(|| format!("{}, history {seed}", P::NAME))?;
    }
    Ok(())
}

/// All laws, on one history as [`history`] draws them.
pub async fn hold_on<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
    rng: &mut StdRng,
) -> Result<()> {
    batches_change_nothing(stage, history, rng).await?;
    keys_do_not_depend_on_each_other(stage, history, rng).await?;
    repeats_change_nothing(stage, history, rng).await?;
    replay_gives_the_same(stage, history).await?;
    a_rebuild_is_equal(stage, history, rng).await?;
    nobody_reads_anothers(stage).await
}

/// 120 events of two tenants, a second apart, with room between the offsets.
pub fn history(rng: &mut StdRng, draw: &mut impl FnMut(&mut StdRng) -> Event) -> Vec<Recorded> {
    let mut story = Story::sparse();
    let mut tell = |_| {
        let tenant = TENANTS[rng.random_range(0..TENANTS.len())];
        let event = draw(rng);
        story.of(tenant).after(Duration::SECOND).tell(event)
    };
    (0..EVENTS).map(&mut tell).collect()
}

pub async fn batches_change_nothing<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
    rng: &mut StdRng,
) -> Result<()> {
    let plain = plain(stage, history).await?;
    let whole = by_partition(history).into_values().collect();
    let whole = fold(stage, whole).await;
    same_rows(
        ("event by event", &plain),
        ("one batch a partition", &whole),
    )?;
    let torn = tear(rng, by_partition(history));
    let torn = fold(stage, torn).await;
    same_rows(("event by event", &plain), ("in torn batches", &torn))
}

pub async fn keys_do_not_depend_on_each_other<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
    rng: &mut StdRng,
) -> Result<()> {
    let plain = plain(stage, history).await?;
    let mut keys: BTreeMap<_, Vec<Recorded>> = BTreeMap::new();
    for event in history {
        let key = (event.at.topic, event.at.partition, event.key.clone());
        keys.entry(key).or_default().push(event.clone());
    }
    let mingled = fold(stage, tear(rng, keys)).await;
    same_rows(("in log order", &plain), ("keys mingled anew", &mingled))
}

/// A repeat has a place of its own behind the first, and the same content. Those
/// that carry a number are dropped by their mark, as the loop does it; the others
/// are for the fold to see through.
pub async fn repeats_change_nothing<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
    rng: &mut StdRng,
) -> Result<()> {
    let plain = plain(stage, history).await?;
    let mut batches = Vec::new();
    for log in by_partition(history).into_values() {
        let mut marks = Marks::default();
        let mut repeated = Vec::new();
        for (index, event) in log.iter().enumerate() {
            repeated.push(event.clone());
            for nth in 1..=rng.random_range(0..3) {
                assert!(nth < OFFSET_STEP, "repeats fit between two records");
                let mut again = log[rng.random_range(0..=index)].clone();
                again.at.offset = Offset(event.at.offset.0 + nth);
                repeated.push(again);
            }
        }
        repeated.retain(|event| takes(&mut marks, event));
        batches.push(repeated);
    }
    let repeated = fold(stage, batches).await;
    same_rows(("once", &plain), ("with repeats", &repeated))
}

pub async fn replay_gives_the_same<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
) -> Result<()> {
    let first = plain(stage, history).await?;
    let second = plain(stage, history).await?;
    same_rows(("first", &first), ("second", &second))
}

/// A rebuild begins while the live generation stands anywhere in the log, and both go on, in turns
/// and in batches of their own. At the end they are compared as `compline projection compare` does
/// it, by counts and hashes.
pub async fn a_rebuild_is_equal<P: Projection>(
    stage: &mut Stage<P>,
    history: &[Recorded],
    rng: &mut StdRng,
) -> Result<()> {
    let (before, after) = history.split_at(rng.random_range(0..=history.len()));
    stage.empty().await;
    for event in before {
        stage.given(slice::from_ref(event)).await;
    }
    let mut steward = Steward::take(stage.postgres().database(), P::NAME).await?;
    let partitions_of = |topic| TopicSpec::of(topic).partitions;
    let made = steward.rebuild::<P>(partitions_of).await?;
    let schema = schema_name(P::NAME, made);
    let mut rebuilt = stage.postgres().connect(Role::Projector, &schema).await;
    let mut live = after.iter();
    for batch in tear(rng, by_partition(history)) {
        if let Err(refused) = project::<P>(&mut rebuilt, &batch).await {
            bail!("the rebuild refuses what the live generation took: {refused:?}");
        }
        if let Some(event) = live.next() {
            stage.given(slice::from_ref(event)).await;
        }
    }
    for event in live {
        stage.given(slice::from_ref(event)).await;
    }
    let within = std::time::Duration::from_secs(60);
    let compared = steward.compare(made, 5, within, &|_| {}).await?;
    steward.drop_generation(made).await?;
    let rows: i64 = compared.tables.iter().map(|table| table.live_rows).sum();
    ensure!(rows > 0, "nothing was compared");
    let begun = before.len();
    ensure!(
        compared.is_equal(),
        "a rebuild begun after {begun} events differs: {compared:#?}"
    );
    Ok(())
}

/// Row level security, in whatever rows are there: as the query role, every table
/// that it may read shows the tenant that is set, and nothing when none is.
pub async fn nobody_reads_anothers<P: Projection>(stage: &mut Stage<P>) -> Result<()> {
    let mut superuser = stage.postgres().superuser().await;
    let mut query = stage.connect(Role::Query).await;
    let mut seen = 0;
    for table in tables(&mut superuser, stage.schema()).await? {
        let granted = "SELECT has_table_privilege('compline_query', $1, 'SELECT')";
        let granted: bool = sqlx::query_scalar(granted)
            .bind(format!("{}.{table}", stage.schema()))
            .fetch_one(&mut superuser)
            .await?;
        if !granted {
            continue;
        }
        for tenant in [None, Some(TENANTS[0]), Some(TENANTS[1])] {
            sqlx::query("SELECT set_config('compline.tenant', $1, false)")
                .bind(tenant.map_or_else(String::new, |tenant| tenant.to_string()))
                .execute(&mut query)
                .await?;
            let found = format!("SELECT DISTINCT tenant_id FROM {table}");
            let found: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(found))
                .fetch_all(&mut query)
                .await?;
            let foreign = |found: &&Uuid| tenant != Some(TenantId::new(**found));
            if let Some(foreign) = found.iter().find(foreign) {
                bail!("{table} shows {foreign} to {tenant:?}");
            }
            seen += found.len();
        }
    }
    ensure!(seen > 0, "no tenant sees anything, so nothing was tried");
    Ok(())
}

/// The rows after the plainest fold: one event at a time, in the order told.
async fn plain<P: Projection>(stage: &mut Stage<P>, history: &[Recorded]) -> Result<String> {
    let batches = history.iter().map(|event| vec![event.clone()]).collect();
    let rows = fold(stage, batches).await;
    ensure!(
        !rows.is_empty(),
        "the history leaves no row, so it tries nothing"
    );
    Ok(rows)
}

async fn fold<P: Projection>(stage: &mut Stage<P>, batches: Vec<Vec<Recorded>>) -> String {
    stage.empty().await;
    for batch in batches {
        stage.given(&batch).await;
    }
    stage.dump().await
}

fn by_partition(history: &[Recorded]) -> BTreeMap<(Topic, Partition), Vec<Recorded>> {
    let mut logs: BTreeMap<_, Vec<Recorded>> = BTreeMap::new();
    for event in history {
        let log = logs.entry((event.at.topic, event.at.partition));
        log.or_default().push(event.clone());
    }
    logs
}

/// Whether the loop hands an event on, by its number.
fn takes(marks: &mut Marks, event: &Recorded) -> bool {
    let Some(Stamp { producer, number }) = &event.envelope.stamp else {
        return true;
    };
    match marks.take(producer, *number) {
        Taken::Take => true,
        Taken::Drop => false,
        Taken::Hole { expected } => panic!("{}: {number} comes where {expected} is due", event.at),
    }
}

/// The sequences in small batches, mingled; each keeps its own order.
fn tear<K: Ord>(rng: &mut StdRng, sequences: BTreeMap<K, Vec<Recorded>>) -> Vec<Vec<Recorded>> {
    let mut left: Vec<Vec<Recorded>> = sequences.into_values().collect();
    let mut batches = Vec::new();
    while !left.is_empty() {
        left.shuffle(rng);
        let last = left.last_mut().expect("it is not empty");
        let length = rng.random_range(1..=LARGEST_BATCH).min(last.len());
        batches.push(last.drain(..length).collect());
        left.retain(|rest| !rest.is_empty());
    }
    batches
}
