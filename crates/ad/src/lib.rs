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
//! - whose a webhook is, among the connections folded so far, and what repeats
//!   another, goes by `recorded_at`; which status is newer goes by `entry.time`;
//!   the clock decides nothing but when to give up waiting;
//! - everything that a change touches belongs to its account, whose lock is taken
//!   before its state is read; a transaction takes its locks once, sorted;
//! - nothing that a sender writes is an error: what is not known is told as
//!   WebhookUnrecognized and passed over.
//!
//! Limit: whose a webhook is, is answered once, by the commands that are folded by
//! then. A webhook and one tenant's connection give the same in either order; a
//! second tenant, or a disconnection, that is recorded before the webhook and
//! folded after it comes too late:
//! - *one* watches, *two* connects at 10:00:00, the webhook is recorded at 10:00:01
//!   and folded before that connection: it is told to *one* alone, and no copy is
//!   left that *two* could be given;
//! - nobody watches, *one* and *two* connect, then the webhook is recorded, and is
//!   folded first: whichever connection is folded first takes it from where it
//!   waits, and the other finds nothing;
//! - *one* disconnects at 10:00:00 and the webhook of 10:00:01 is folded first:
//!   *one* is told of it.
//!
//! That is as long as the topics are apart in the fold: moments while it keeps up,
//! all that was missed after an outage or in a rebuild, which can therefore decide
//! otherwise than the first fold did. To lift it, a webhook must wait until the
//! commands recorded before it are folded, which only the frame can know.
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

use compline_engine::{Engine, Outputs};
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

    /// One chunk of what has expired, else of what is owed; and of what is
    /// forgotten, when neither had anything to say. `now` must not run ahead of the fold: an account's connection that is in
    /// the log but not yet folded cannot save what expires here.
    async fn tick(
        &self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        outputs: &mut Outputs,
    ) -> Result<(), sqlx::Error> {
        store::tick(conn, now, outputs).await
    }
}
