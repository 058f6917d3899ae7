//! cqrs-es with its store in Postgres: the same changes of the same ads, told and made
//! visible, and a read model made again from what is stored.

mod program;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use compline_readmodel::generation::{Generation, schema_name};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use crate::{
    Setting,
    ads::{ADS, TENANTS},
    house::{self, OwnDatabase, OwnLog},
    project::{
        self,
        spent::{self, Spent},
    },
    report::{Finding, Goal, Row},
};
use program::{Order, Program};

/// Commands of the peer that are under way at once, each on a connection of its own.
const TASKS: u32 = 16;

pub(crate) async fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let folder = house::folder(&setting.folder)?;
    let own = OwnDatabase::open(&folder).await?;
    let count = setting.choose(50_000, 10_000);
    let commands = folder.path().join("commands");
    program::write_commands(&commands, count)?;
    let program = program::build().await?;

    let (mut told, mut rebuilt) = (Vec::new(), Vec::new());
    for number in 1..=setting.choose(4, 1) {
        eprintln!("postgres-es: round {number}");
        let peer = Peer {
            own: &own,
            number,
            program: Program::start(&program, &commands, &own, number, TASKS).await?,
        };
        let (ours, theirs) = if number % 2 == 1 {
            let ours = of_ours(&own, &folder, count, number).await?;
            (ours, peer.measure().await?)
        } else {
            let theirs = peer.measure().await?;
            (of_ours(&own, &folder, count, number).await?, theirs)
        };
        same_rows(&own, number).await?;
        told.push((ours.0, theirs.0));
        rebuilt.push((ours.1, theirs.1));
    }
    let version = own.version().to_owned();
    own.close().await?;
    let note = format!(
        "{count} changes of {ADS} ads of {TENANTS} tenants, PostgreSQL {version}; both left the \
         same ads in the same states in every round"
    );
    Ok(vec![
        row(
            "events told → durable and in the read model",
            "cqrs-es 0.5.0 with postgres-es 0.5.0: commands, their events stored, a view updated",
            &told,
            vec![
                note.clone(),
                format!(
                    "ours from the first append to the last commit of the projector; the peer with \
                     {TASKS} commands at a time, each done when its view is"
                ),
            ],
        ),
        row(
            "stored events → a read model made again",
            "cqrs-es 0.5.0 with postgres-es 0.5.0: QueryReplay of every aggregate",
            &rebuilt,
            vec![note, format!("the peer with {TASKS} aggregates at a time")],
        ),
    ])
}

fn row(
    path: &'static str,
    limit: &'static str,
    rounds: &[(Spent, Spent)],
    mut notes: Vec<String>,
) -> Row {
    notes.push(spent::processor_time(rounds, "the peer"));
    Row {
        path,
        limit,
        findings: vec![Finding::ratio(
            "events/s",
            &spent::per_second(rounds),
            Goal::RatioAtLeast(1.0),
        )],
        notes,
    }
}

/// Told, and made again: into a generation each, from a log of the round's own.
async fn of_ours(
    own: &OwnDatabase,
    folder: &TempDir,
    count: usize,
    round: Generation,
) -> Result<(Spent, Spent)> {
    let folder = house::folder(folder.path())?;
    let log = OwnLog::open(&folder).await?;
    let (told, again) = numbers(round);
    let (spent, events) = project::ours_as_told(own, &log.log, count, told).await?;
    let rebuilt = project::ours(own, &log.log, &events, again).await?;
    log.close().await?;
    Ok((spent, rebuilt))
}

/// The generations of a round.
fn numbers(round: Generation) -> (Generation, Generation) {
    (2 * round - 1, 2 * round)
}

struct Peer<'own> {
    own: &'own OwnDatabase,
    number: Generation,
    program: Program,
}

impl Peer<'_> {
    async fn measure(mut self) -> Result<(Spent, Spent)> {
        let told = self.order(Order::Execute).await?;
        let rebuilt = self.order(Order::Replay).await?;
        self.program
            .end()
            .await
            .with_context(|| format!("round {}", self.number))?;
        Ok((told, rebuilt))
    }

    async fn order(&mut self, order: Order) -> Result<Spent> {
        project::settle(self.own).await?;
        let began = Instant::now();
        let before = Spent::since_start(began, self.program.processor_seconds(), self.own);
        let did = self.program.order(order).await?;
        let mut spent =
            Spent::since_start(began, self.program.processor_seconds(), self.own).minus(before);
        // Its own clock leaves out what it does before and after.
        spent.clock = did.seconds;
        spent.events = did.events;
        Ok(spent)
    }
}

/// Both read models of both, which are dropped.
async fn same_rows(own: &OwnDatabase, round: Generation) -> Result<()> {
    let mut conn = own.superuser().await?;
    let view = program::schema(round);
    let (told, again) = numbers(round);
    for number in [told, again] {
        let ours = schema_name(compline_ad_status::NAME, number);
        // The names are ours.
        let statement = format!(
            "SELECT count(*), (SELECT count(*) FROM {ours}.ad) FROM {ours}.ad AS ad
             JOIN {view}.ad_row AS row ON row.view_id = ad.tenant_id || '/' || ad.ad_id
             WHERE (ad.ad_account_id, ad.level, ad.status, ad.old_status, ad.reason, ad.version)
               = (payload->>'ad_account_id', payload->>'level', payload->>'status',
                  payload->>'old_status', payload->>'reason', (payload->>'version')::bigint)
               AND to_json(ad.placements)::jsonb = (payload->'placements')::jsonb
               AND ad.status_changed_at = (payload->>'status_changed_at')::timestamptz
               AND ad.updated_at = (payload->>'updated_at')::timestamptz"
        );
        let (same, all): (i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(&mut conn)
            .await?;
        ensure!(
            same == all && all > 0,
            "{} of {all} ads differ in {ours}",
            all - same
        );
        sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {ours} CASCADE")))
            .execute(&mut conn)
            .await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {view} CASCADE")))
        .execute(&mut conn)
        .await?;
    conn.close().await?;
    Ok(())
}
