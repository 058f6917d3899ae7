//! An engine as a fold: the projector's loop drives it, and its store step ends
//! with the outbox.

use std::sync::Arc;

use compline_event::{Recorded, Topic};
use compline_eventlog::Log;
use compline_projector::{Fold, PutOff};
use compline_readmodel::FoldError;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::{
    checkpoint_name,
    engine::{Engine, Outputs},
    ledger::{Ledger, Sealed},
    order::{Checkpoints, Order},
    outbox::{self, Destinations},
    recovery::Recovery,
};

/// What the loop, the relay and the timer of one engine share.
#[derive(Debug)]
pub(crate) struct EngineFold<E> {
    pub(crate) engine: E,
    pub(crate) destinations: Destinations,
    pub(crate) decided: Arc<Notify>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) checkpoints: Checkpoints,
    ledger: Arc<Ledger>,
    order: Order,
}

impl<E: Engine> EngineFold<E> {
    /// `pool` has the engine's role and schema.
    pub(crate) fn new(engine: E, destinations: Destinations, log: Log, pool: PgPool) -> Self {
        let checkpoints = Checkpoints {
            name: checkpoint_name(E::NAME),
            pool: pool.clone(),
        };
        let ledger = Arc::new(Ledger::new(E::NAME));
        Self {
            engine,
            destinations,
            decided: Arc::new(Notify::new()),
            order: Order::new(E::NAME, E::FIRST, log.clone(), checkpoints.clone()),
            checkpoints,
            recovery: Arc::new(Recovery::new(E::NAME, log, pool, ledger.clone())),
            ledger,
        }
    }

    /// Fixes what was decided, as the last thing in its transaction.
    pub(crate) async fn seal(
        &self,
        conn: &mut PgConnection,
        mut outputs: Outputs,
    ) -> Result<(), sqlx::Error> {
        let left_out = self.recovery.leave_out_told(conn, &mut outputs).await?;
        let (outputs, now) = (outputs.into_vec(), OffsetDateTime::now_utc());
        let (destinations, ledger) = (&self.destinations, &self.ledger);
        let draws = outbox::fill(conn, E::NAME, destinations, ledger, outputs, now).await?;
        self.ledger.seal(Sealed { draws, left_out });
        Ok(())
    }
}

impl<E: Engine> Fold for EngineFold<E> {
    fn name(&self) -> &str {
        &self.checkpoints.name
    }

    fn topics(&self) -> &'static [Topic] {
        E::INPUTS
    }

    const DOES: &'static str = "decide";

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

    /// In the task that stored.
    fn committed(&self) {
        self.ledger.committed();
        self.decided.notify_one();
        self.order.moved();
    }

    async fn claimed(&self) -> Result<(), PutOff> {
        self.recovery
            .adopt()
            .await
            .map_err(|error| match error.is_damage() {
                true => PutOff::halt(error),
                false => PutOff::new(error),
            })
    }

    async fn ready(&self, topic: Topic, waits: &(dyn Fn(String) + Sync)) -> Result<(), PutOff> {
        self.order.wait(topic, waits).await.map_err(PutOff::new)
    }
}
