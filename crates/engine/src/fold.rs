//! An engine as a fold: the projector's loop drives it, and its store step ends
//! with the outbox.

use std::sync::Arc;

use compline_event::{Recorded, Topic};
use compline_projector::Fold;
use compline_readmodel::FoldError;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::{
    checkpoint_name,
    engine::{Engine, Outputs},
    metric,
    outbox::{self, Destinations},
};

/// What the loop, the relay and the timer of one engine share.
#[derive(Debug)]
pub(crate) struct EngineFold<E> {
    pub(crate) engine: E,
    pub(crate) destinations: Destinations,
    pub(crate) decided: Arc<Notify>,
    checkpoint_name: String,
}

impl<E: Engine> EngineFold<E> {
    pub(crate) fn new(engine: E, destinations: Destinations) -> Self {
        Self {
            engine,
            destinations,
            decided: Arc::new(Notify::new()),
            checkpoint_name: checkpoint_name(E::NAME),
        }
    }

    /// Fixes what was decided, as the last thing in its transaction.
    pub(crate) async fn seal(
        &self,
        conn: &mut PgConnection,
        outputs: Outputs,
    ) -> Result<(), sqlx::Error> {
        let count = u64::try_from(outputs.len()).unwrap_or(u64::MAX);
        let now = OffsetDateTime::now_utc();
        outbox::fill(conn, E::NAME, &self.destinations, outputs.into_vec(), now).await?;
        metrics::counter!(metric::OUTPUTS, "engine" => E::NAME).increment(count);
        Ok(())
    }
}

impl<E: Engine> Fold for EngineFold<E> {
    fn name(&self) -> &str {
        &self.checkpoint_name
    }

    fn topics(&self) -> &'static [Topic] {
        E::INPUTS
    }

    type Rows = (E::State, Outputs);

    async fn load(
        &self,
        conn: &mut PgConnection,
        inputs: &[Recorded],
    ) -> Result<Self::Rows, sqlx::Error> {
        Ok((self.engine.load(conn, inputs).await?, Outputs::default()))
    }

    fn apply(&self, (state, outputs): &mut Self::Rows, input: &Recorded) -> Result<(), FoldError> {
        let decided_before = outputs.len();
        self.engine.decide(state, input, outputs)?;
        for output in outputs.since(decided_before) {
            self.destinations
                .check(output)
                .map_err(|unsendable| FoldError::new(unsendable.to_string()))?;
        }
        Ok(())
    }

    async fn store(
        &self,
        conn: &mut PgConnection,
        (state, outputs): Self::Rows,
    ) -> Result<(), sqlx::Error> {
        self.engine.store(conn, state).await?;
        self.seal(conn, outputs).await
    }

    fn committed(&self) {
        self.decided.notify_one();
    }
}
