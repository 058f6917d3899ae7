//! Where two generations differ, at equal positions (protocol §5).
//!
//! ```text
//!   candidate:  held where it is ──────────────────▶ let go up to V ─▶ there ─▶ read
//!   live:       … ─▶ is at or past it ─▶ snapshot at V ······················▶ read
//! ```
//!
//! Two moving generations are never equal by chance, so the candidate is stopped
//! exactly where the snapshot of the live one stands. Counts and hashes of each
//! tenant come first; rows are looked at only where those differ, and one at a time.

mod rows;
mod table;

use std::time::Duration;

use compline_event::{Offset, Partition, Position, TenantId, Token};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

pub use self::{
    rows::{Difference, RowDifference},
    table::Digest,
};
use crate::{
    generation::{Generation, schema_name},
    hold,
    role::Role,
    steward::{Steward, StewardError},
};

const POLL: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(
        "generation {generation} did not come to {wanted} in time, it is at {reached}: is it \
         projected, and does each of its partitions run?"
    )]
    NotThere {
        generation: Generation,
        wanted: Token,
        reached: Token,
    },
    #[error(transparent)]
    Steward(#[from] StewardError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a comparison waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The live generation is to be where the candidate is, or past it.
    Live { behind: i64 },
    /// The candidate is to come to where the snapshot is.
    Candidate { behind: i64 },
    /// Both stand.
    Table { name: String },
}

/// Both generations at one position.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub live: Generation,
    pub candidate: Generation,
    pub position: Token,
    pub tables: Vec<TableComparison>,
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableComparison::is_equal)
    }
}

#[derive(Clone, Debug)]
pub struct TableComparison {
    pub name: String,
    pub live_rows: i64,
    pub candidate_rows: i64,
    /// Columns that only one of them has; they are not compared.
    pub other_columns: Vec<String>,
    /// The tenants whose rows differ; of a table without tenants, none in
    /// particular.
    pub tenants: Vec<Option<TenantId>>,
    /// Of all these tenants.
    pub differing_rows: u64,
    /// The first of them.
    pub rows: Vec<RowDifference>,
}

impl TableComparison {
    pub fn is_equal(&self) -> bool {
        self.tenants.is_empty() && self.other_columns.is_empty()
    }
}

impl Steward {
    /// Compares `candidate` with the live generation, and shows at most `most_rows`
    /// of each table's differing rows. The candidate stands still meanwhile.
    pub async fn compare(
        &mut self,
        candidate: Generation,
        most_rows: usize,
        within: Duration,
        tell: &(dyn Fn(Step) + Sync),
    ) -> Result<Comparison, CompareError> {
        let live = self.live_beside(candidate).await?;
        hold::at_present(&mut self.conn, &self.projection, candidate).await?;
        let compared = self
            .compare_held(live, candidate, most_rows, within, tell)
            .await;
        hold::release(&mut self.conn, &self.projection, candidate).await?;
        compared
    }

    async fn compare_held(
        &mut self,
        live: Generation,
        candidate: Generation,
        most_rows: usize,
        within: Duration,
        tell: &(dyn Fn(Step) + Sync),
    ) -> Result<Comparison, CompareError> {
        let deadline = Instant::now() + within;
        let mut of_live = self.session(live).await?;
        let position = self
            .snapshot_past(&mut of_live, live, candidate, deadline, tell)
            .await?;
        hold::at(&mut self.conn, &self.projection, candidate, &position).await?;
        self.come_to(&position, candidate, deadline, tell).await?;

        let mut of_candidate = self.session(candidate).await?;
        let mut tables = Vec::new();
        for name in table::names(&mut of_candidate).await? {
            tell(Step::Table { name: name.clone() });
            let compared = table::compare(&mut of_live, &mut of_candidate, name, most_rows);
            tables.push(compared.await?);
        }
        Ok(Comparison {
            live,
            candidate,
            position,
            tables,
        })
    }

    /// Begins a snapshot in which the live generation is nowhere behind the
    /// candidate, and says where it is.
    async fn snapshot_past(
        &mut self,
        conn: &mut PgConnection,
        live: Generation,
        candidate: Generation,
        deadline: Instant,
        tell: &(dyn Fn(Step) + Sync),
    ) -> Result<Token, CompareError> {
        let held = position(&mut self.conn, &self.projection, candidate).await?;
        loop {
            sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                .execute(&mut *conn)
                .await?;
            let reached = position(conn, &self.projection, live).await?;
            if reached.covers(&held) {
                return Ok(reached);
            }
            sqlx::query("ROLLBACK").execute(&mut *conn).await?;
            tell(Step::Live {
                behind: distance(&reached, &held),
            });
            if Instant::now() > deadline {
                return Err(CompareError::NotThere {
                    generation: live,
                    wanted: held,
                    reached,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn come_to(
        &mut self,
        wanted: &Token,
        candidate: Generation,
        deadline: Instant,
        tell: &(dyn Fn(Step) + Sync),
    ) -> Result<(), CompareError> {
        loop {
            let reached = position(&mut self.conn, &self.projection, candidate).await?;
            if reached.covers(wanted) {
                return Ok(());
            }
            tell(Step::Candidate {
                behind: distance(&reached, wanted),
            });
            if Instant::now() > deadline {
                return Err(CompareError::NotThere {
                    generation: candidate,
                    wanted: wanted.clone(),
                    reached,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn session(&self, generation: Generation) -> Result<PgConnection, sqlx::Error> {
        let schema = schema_name(&self.projection, generation);
        PgConnection::connect_with(&self.database.options(Role::Owner, &schema)).await
    }
}

/// Where a generation stands.
async fn position(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Token, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT topic, partition, next_offset FROM compline.checkpoint
         WHERE projection = $1 AND generation = $2",
        projection,
        generation,
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(Position {
            // A topic of a newer build is nothing that this one could compare.
            topic: row.topic.parse().ok()?,
            partition: Partition(row.partition),
            next_offset: Offset(row.next_offset),
        })
    });
    Ok(known.collect())
}

/// Records from one position to another, where that lies ahead.
fn distance(from: &Token, to: &Token) -> i64 {
    to.positions()
        .map(|at| {
            let reached = from.next_offset(at.topic, at.partition);
            (at.next_offset.0 - reached.map_or(0, |offset| offset.0)).max(0)
        })
        .sum()
}
