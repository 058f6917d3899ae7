//! The trait that every projection fills in.

use std::future::Future;

use compline_event::{Recorded, Topic};
use sqlx::{PgConnection, migrate::Migrator};

/// A pure fold of events into rows, with the SQL that loads and stores them.
///
/// A batch goes `load` → `apply` for each event in log order → `store`, in one
/// transaction that also moves the checkpoint. The connection's `search_path` is
/// the generation's schema, so statements name tables without one.
///
/// A row depends on the events of one key only, or its fold is commutative: two
/// partitions are applied side by side, and each table's rows must be written in
/// the order of their primary key so that two batches cannot deadlock.
pub trait Projection: Send + Sync + 'static {
    /// As in `compline projector ad-status`. Kebab case.
    const NAME: &'static str;

    const TOPICS: &'static [Topic];

    /// The rows that one batch touches.
    type Rows: Send;

    /// Makes the tables of one generation in the schema that `search_path` names.
    fn migrator() -> Migrator;

    /// Reads the rows that `events` will touch.
    fn load(
        conn: &mut PgConnection,
        events: &[Recorded],
    ) -> impl Future<Output = Result<Self::Rows, sqlx::Error>> + Send;

    /// Folds one event. Pure: no clock, no randomness, no I/O. Events that the
    /// projection does not care about change nothing.
    ///
    /// # Errors
    /// What can never be applied; the event's key is parked.
    fn apply(rows: &mut Self::Rows, event: &Recorded) -> Result<(), FoldError>;

    /// Writes each table once.
    fn store(
        conn: &mut PgConnection,
        rows: Self::Rows,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// An event that no retry can apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FoldError {
    pub reason: String,
}

impl FoldError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}
