//! The projection as its projector runs it, and which batches were made of it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use compline_event::{Recorded, TenantId, Topic};
use compline_projector::{Fold, ProjectionFold};
use compline_readmodel::{FoldError, Projection};
use sqlx::PgConnection;

/// Records `from` up to, not including, `to` of a partition: one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
}

#[derive(Debug)]
pub(super) struct Recording<P> {
    fold: ProjectionFold<P>,
    extents: Mutex<Vec<Extent>>,
}

impl<P> Default for Recording<P> {
    fn default() -> Self {
        Self {
            fold: ProjectionFold::default(),
            extents: Mutex::default(),
        }
    }
}

impl<P> Recording<P> {
    pub(super) fn extents(&self) -> Vec<Extent> {
        let extents = self.extents.lock();
        extents.unwrap_or_else(PoisonError::into_inner).clone()
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
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let mut extents = self.extents.lock().unwrap_or_else(PoisonError::into_inner);
            extents.push(Extent {
                partition: first.at.partition.0,
                from: first.at.offset.0,
                to: last.at.offset.next().0,
            });
        }
        self.fold.load(conn, events).await
    }

    fn apply(&self, rows: &mut Self::Rows, event: &Recorded) -> Result<(), FoldError> {
        self.fold.apply(rows, event)
    }

    async fn store(&self, conn: &mut PgConnection, rows: Self::Rows) -> Result<(), sqlx::Error> {
        self.fold.store(conn, rows).await
    }
}
