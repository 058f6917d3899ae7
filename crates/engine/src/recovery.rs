//! What an engine has told and its database does not know (protocol §2).
//!
//! Tables that were dropped, restored from a backup or failed over are older than
//! the log. Going on from them, an engine would number its outputs anew, and every
//! reader would drop them as repeats. So whenever a partition is claimed, and before
//! the timer works, the log behind the last acknowledged offset is read, and every
//! output of this engine with a number that was never drawn here is *adopted*:
//!
//! | what is adopted | so that |
//! |---|---|
//! | its id, into `engine.told` | what is decided again is not told again |
//! | its number, into `engine.counter` | what is missing goes on behind it, without a hole |
//! | its place, into `engine.relay` | it is not read again |
//!
//! Then the inputs are folded from wherever the checkpoints stand. What was
//! acknowledged on one partition and lost on another comes out again and is told
//! where it is missing. An id is of the record that an output is about and of its
//! slot, so it is the same whether a batch, a connection or the timer brings it
//! out.
//!
//! Each step may be repeated: an id in `engine.told` says nothing but that it
//! stands in the log, numbers and places only grow, and no process decides before
//! it has looked. What it costs is a read of the output partitions behind the
//! stored offsets, and a row of some 120 bytes for each output that was not known,
//! until it is decided again; in memory, a batch of ids.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use compline_event::{EventId, RecordId};
use compline_eventlog::{Log, LogError, ReadError};
use compline_readmodel::{Lease, SILENCE, unless_silent};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

use self::look::look;
use crate::{engine::Outputs, ledger::Ledger};

mod look;

/// Ids that one statement forgets.
const FORGOTTEN_AT_ONCE: i64 = 100_000;

/// A question to the log that is not answered says so after 10 s, and goes first.
const LOOK_SILENCE: Duration = Duration::from_secs(SILENCE.as_secs() + 2);

/// Classes of Postgres' errors (its appendix A) that pass: the connection, a
/// conflict, resources, somebody's lock, an operator's intervention. A table that is
/// missing stays missing.
const TRANSIENT: [&str; 5] = ["08", "40", "53", "55", "57"];

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("output {number} at {at} has no id in its headers")]
    NoId { at: RecordId, number: i64 },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RecoveryError {
    /// Whether the log's disk has changed what was told: nobody knows any more what
    /// that was, and nothing may be decided over it.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, RecoveryError::Read(ReadError::Damaged { .. }))
    }

    /// Whether waiting may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            RecoveryError::NoId { .. } => false,
            RecoveryError::Log(error) => error.is_transient(),
            RecoveryError::Read(error) => error.is_transient(),
            RecoveryError::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            RecoveryError::Database(error) => error
                .as_database_error()
                .and_then(|error| error.code())
                .is_some_and(|code| TRANSIENT.iter().any(|class| code.starts_with(class))),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Recovery {
    engine: &'static str,
    log: Log,
    pool: PgPool,
    ledger: Arc<Ledger>,
    /// Held by whoever looks.
    turn: Mutex<()>,
    /// Whether `engine.told` holds anything of this engine, as far as is known.
    found: AtomicBool,
}

impl Recovery {
    pub(crate) fn new(engine: &'static str, log: Log, pool: PgPool, ledger: Arc<Ledger>) -> Self {
        Self {
            engine,
            log,
            pool,
            ledger,
            turn: Mutex::default(),
            found: AtomicBool::new(false),
        }
    }

    /// Adopts what the database does not know. To be called before anything is
    /// decided by it; costs little when all that the log holds is acknowledged.
    pub(crate) async fn adopt(&self) -> Result<(), RecoveryError> {
        let _turn = self.turn.lock().await;
        let looking = look(self.engine, &self.log, &self.pool, &self.ledger);
        unless_silent(LOOK_SILENCE, looking).await?;
        self.remember_found().await?;
        Ok(())
    }

    /// Takes out what the log holds already, and says how much it was. In the
    /// transaction that decides it.
    pub(crate) async fn leave_out_told(
        &self,
        conn: &mut PgConnection,
        outputs: &mut Outputs,
    ) -> Result<u64, sqlx::Error> {
        if outputs.is_empty() || !self.found.load(Ordering::Acquire) {
            return Ok(0);
        }
        let ids: Vec<Uuid> = outputs
            .since(0)
            .iter()
            .map(|output| EventId::derived(self.engine, output.about, &output.slot).as_uuid())
            .collect();
        let told = sqlx::query_scalar!(
            "DELETE FROM engine.told USING UNNEST($2::uuid[]) AS decided (event_id)
             WHERE told.engine = $1 AND told.event_id = decided.event_id
             RETURNING told.event_id",
            self.engine,
            &ids,
        )
        .fetch_all(conn)
        .await?;
        let told: HashSet<Uuid> = told.into_iter().collect();
        let mut ids = ids.iter();
        outputs.retain(|_| ids.next().is_none_or(|id| !told.contains(id)));
        Ok(u64::try_from(told.len()).unwrap_or(u64::MAX))
    }

    /// The database's clock, for [`Recovery::finish`].
    pub(crate) async fn now(&self) -> Result<OffsetDateTime, sqlx::Error> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
        line.heard(now.fetch_one(&mut *conn)).await
    }

    /// Forgets the ids that were found before `found_before`, when all that the log
    /// held since has been decided over: they were not decided again, because their
    /// inputs have expired or met in another order. A parked key may still bring
    /// them out.
    pub(crate) async fn finish(
        &self,
        checkpoint_name: &str,
        found_before: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let mut outputs = 0;
        while self.found.load(Ordering::Acquire) {
            let forgotten = sqlx::query!(
                "DELETE FROM engine.told WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM engine.told
                     WHERE engine = $1 AND found_at < $3
                       AND NOT EXISTS (SELECT FROM compline.parked_key
                                       WHERE projection = $2 AND generation = 1)
                     LIMIT $4
                 ))",
                self.engine,
                checkpoint_name,
                found_before,
                FORGOTTEN_AT_ONCE,
            )
            .execute(&mut *conn);
            let forgotten = line.heard(forgotten).await?;
            outputs += forgotten.rows_affected();
            if forgotten.rows_affected() == 0 {
                break;
            }
        }
        if outputs > 0 {
            let engine = self.engine;
            tracing::warn!(
                engine,
                outputs,
                "what the log holds was not all decided again"
            );
        }
        Ok(())
    }

    async fn remember_found(&self) -> Result<(), sqlx::Error> {
        let mut conn = Lease::of(&self.pool).await?;
        let line = conn.line();
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM engine.told WHERE engine = $1) AS "found!""#,
            self.engine,
        )
        .fetch_one(&mut *conn);
        let found = line.heard(found).await?;
        self.found.store(found, Ordering::Release);
        Ok(())
    }
}
