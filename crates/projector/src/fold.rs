//! What the loop drives: a projection, or the input side of an engine.

use std::{collections::HashSet, future::Future, marker::PhantomData};

use compline_event::{Recorded, TenantId, Topic};
use compline_readmodel::{FoldError, Generation, Projection, wake};
use sqlx::PgConnection;

/// Like [`Projection`], but with a self: an engine has settings and an outbox.
pub trait Fold: Send + Sync + 'static {
    /// The name under which checkpoints are kept.
    fn name(&self) -> &str;

    fn topics(&self) -> &'static [Topic];

    /// What it does to an event, for traces.
    const DOES: &'static str = "apply";

    type Rows: Send;

    fn load(
        &self,
        conn: &mut PgConnection,
        events: &[Recorded],
    ) -> impl Future<Output = Result<Self::Rows, sqlx::Error>> + Send;

    fn apply(&self, rows: &mut Self::Rows, event: &Recorded) -> Result<(), FoldError>;

    fn store(
        &self,
        conn: &mut PgConnection,
        rows: Self::Rows,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Called after each commit, in the task that called `store`.
    fn committed(&self) {}

    /// Called after a partition was claimed, and when its checkpoint was found
    /// elsewhere than it was left: the database may be older than what is
    /// remembered, or than the log.
    fn claimed(&self) -> impl Future<Output = Result<(), PutOff>> + Send {
        async { Ok(()) }
    }

    /// Comes back when records of `topic` that were just read may be applied, and
    /// tells `waits` meanwhile why not yet. Dropped when the partition is taken
    /// away.
    fn ready(
        &self,
        _topic: Topic,
        _waits: &(dyn Fn(String) + Sync),
    ) -> impl Future<Output = Result<(), PutOff>> + Send {
        async { Ok(()) }
    }
}

/// What a fold needs beside its rows cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PutOff {
    /// The partition begins anew after a back-off.
    #[error(transparent)]
    Again(Box<dyn std::error::Error + Send + Sync>),
    /// Nothing that a retry could mend: the partition stands still until somebody
    /// has looked.
    #[error(transparent)]
    Halt(Box<dyn std::error::Error + Send + Sync>),
}

impl PutOff {
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Again(Box::new(error))
    }

    pub fn halt(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Halt(Box::new(error))
    }
}

/// One generation of a projection as a fold.
#[derive(Debug)]
pub struct ProjectionFold<P> {
    generation: Generation,
    projection: PhantomData<P>,
}

impl<P> ProjectionFold<P> {
    pub fn of(generation: Generation) -> Self {
        Self {
            generation,
            projection: PhantomData,
        }
    }
}

impl<P: Projection> Fold for ProjectionFold<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn topics(&self) -> &'static [Topic] {
        P::TOPICS
    }

    /// With the tenants whose readers are told.
    type Rows = (P::Rows, HashSet<TenantId>);

    async fn load(
        &self,
        conn: &mut PgConnection,
        events: &[Recorded],
    ) -> Result<Self::Rows, sqlx::Error> {
        let tenants = events
            .iter()
            .filter_map(|event| event.envelope.tenant)
            .collect();
        Ok((P::load(conn, events).await?, tenants))
    }

    fn apply(&self, (rows, _): &mut Self::Rows, event: &Recorded) -> Result<(), FoldError> {
        P::apply(rows, event)
    }

    async fn store(
        &self,
        conn: &mut PgConnection,
        (rows, tenants): Self::Rows,
    ) -> Result<(), sqlx::Error> {
        P::store(conn, rows).await?;
        wake::notify(conn, P::NAME, self.generation, &tenants).await
    }
}
