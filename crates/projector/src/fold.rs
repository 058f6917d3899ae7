//! What the loop drives: a projection, or the input side of an engine.

use std::{collections::HashSet, future::Future, marker::PhantomData};

use compline_event::{Recorded, TenantId, Topic};
use compline_readmodel::{FoldError, Projection, wake};
use sqlx::PgConnection;

/// Like [`Projection`], but with a self: an engine has settings and an outbox.
pub trait Fold: Send + Sync + 'static {
    /// The name under which checkpoints are kept.
    fn name(&self) -> &str;

    fn topics(&self) -> &'static [Topic];

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

    /// Called after each commit.
    fn committed(&self) {}
}

/// A projection as a fold.
#[derive(Debug)]
pub struct ProjectionFold<P>(PhantomData<P>);

impl<P> Default for ProjectionFold<P> {
    fn default() -> Self {
        Self(PhantomData)
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
        wake::notify(conn, P::NAME, &tenants).await
    }
}
