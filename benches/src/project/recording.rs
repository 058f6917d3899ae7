//! The projection as its projector runs it, and which batches were made of it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use compline_event::{Recorded, TenantId, Topic};
use compline_projector::{Fold, ProjectionFold};
use compline_readmodel::{FoldError, Projection};
use sqlx::PgConnection;

/// Records `from` up to, not including, `to` of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What one transaction took of each partition.
pub(super) type Transaction = Vec<Extent>;

#[derive(Debug)]
pub(super) struct Recording<P> {
    fold: ProjectionFold<P>,
    transactions: Mutex<Vec<Transaction>>,
}

impl<P> Default for Recording<P> {
    fn default() -> Self {
        Self {
            fold: ProjectionFold::of(1),
            transactions: Mutex::default(),
        }
    }
}

impl<P> Recording<P> {
    /// In the order in which they began.
    pub(super) fn transactions(&self) -> Vec<Transaction> {
        let transactions = self.transactions.lock();
        transactions.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<P: Projection> Fold for Recording<P> {
    fn name(&self) -> &str {
        self.fold.name()
    }

    fn topics(&self) -> &'static [Topic] {
        self.fold.topics()
    }

    type Rows = (P::Rows, HashSet<TenantId>);

    async fn load(
        &self,
        conn: &mut PgConnection,
        events: &[Recorded],
    ) -> Result<Self::Rows, sqlx::Error> {
        let of_partition = |one: &Recorded, next: &Recorded| one.at.partition == next.at.partition;
        let transaction = events
            .chunk_by(of_partition)
            .map(|events| Extent {
                partition: events[0].at.partition.0,
                from: events[0].at.offset.0,
                to: events[events.len() - 1].at.offset.next().0,
            })
            .collect();
        let transactions = self.transactions.lock();
        transactions
            .unwrap_or_else(PoisonError::into_inner)
            .push(transaction);
        self.fold.load(conn, events).await
    }

    fn apply(&self, rows: &mut Self::Rows, event: &Recorded) -> Result<(), FoldError> {
        self.fold.apply(rows, event)
    }

    async fn store(&self, conn: &mut PgConnection, rows: Self::Rows) -> Result<(), sqlx::Error> {
        self.fold.store(conn, rows).await
    }
}
