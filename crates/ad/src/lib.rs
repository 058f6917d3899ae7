//! The ad engine: from raw Meta webhooks, and from what tenants have connected, to
//! what is known of their ads.
//!
//! ```text
//! webhook.meta ─▶ wire (bytes → changes) ─┐
//!                                         ├▶ decide ▶ apply ─▶ ad, account, activity
//! account ──────▶ watch (whose is it?) ───┘
//! ```
//!
//! Invariants:
//! - an output is *about* one change of one raw webhook, whatever brought it out:
//!   its id is the same whether the account was connected before or after;
//! - whose a webhook is, and what repeats another, goes by `recorded_at`; which
//!   status is newer goes by `entry.time`; the clock decides nothing but when to
//!   give up waiting;
//! - a webhook is decided over after all commands that the log held when it was
//!   read, so whoever was answered that an account is connected is told of what
//!   comes to it, as far as the clocks of those who record agree;
//! - everything that a change touches belongs to its account, whose lock is taken
//!   before its state is read; a transaction takes its locks once, sorted;
//! - nothing that a sender writes is an error: what is not known is told as
//!   WebhookUnrecognized and passed over.
//!
//! Knows nothing of Kafka; what its table of shapes means to people is in
//! `docs/webhooks.md`.

mod apply;
mod change;
mod decide;
pub mod metric;
mod notice;
mod pending;
mod state;
mod store;
mod table;
mod tell;
mod watch;
mod wire;

use compline_engine::{Engine, Outputs, Tick};
use compline_event::{Recorded, Topic};
use compline_readmodel::FoldError;
use sqlx::{PgConnection, migrate::Migrator};
use time::OffsetDateTime;

pub use state::State;

/// As in `compline engine ad`; ids of all outputs hang on it.
pub(crate) const NAME: &str = "ad";

pub(crate) const ACTOR: &str = "engine:ad";

/// The engine; all it knows is in its tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdEngine;

impl Engine for AdEngine {
    const NAME: &'static str = NAME;
    const INPUTS: &'static [Topic] = &[Topic::WebhookMeta, Topic::Account];
    /// Whose a webhook is must be known when it comes.
    const FIRST: &'static [Topic] = &[Topic::Account];
    const OUTPUTS: &'static [Topic] = &[Topic::Ad, Topic::Account, Topic::Activity];
    type State = State;

    fn migrator() -> Migrator {
        sqlx::migrate!()
    }

    async fn load(
        &self,
        conn: &mut PgConnection,
        inputs: &[Recorded],
    ) -> Result<State, sqlx::Error> {
        store::load(conn, inputs).await
    }

    fn decide(
        &self,
        state: &mut State,
        input: &Recorded,
        outputs: &mut Outputs,
    ) -> Result<(), FoldError> {
        decide::decide(state, input, outputs)
    }

    async fn store(&self, conn: &mut PgConnection, state: State) -> Result<(), sqlx::Error> {
        store::store(conn, state).await
    }

    /// One chunk of what has expired, else of what is owed, else of what is
    /// forgotten.
    async fn tick(
        &self,
        conn: &mut PgConnection,
        decided_until: Option<OffsetDateTime>,
        outputs: &mut Outputs,
    ) -> Result<Tick, sqlx::Error> {
        store::tick(conn, decided_until, outputs).await
    }
}
