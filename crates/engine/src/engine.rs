//! The trait that every engine fills in.

use std::future::Future;

use compline_event::{Event, EventId, RecordId, Recorded, Source, TenantId, Topic};
use compline_readmodel::FoldError;
use sqlx::{PgConnection, migrate::Migrator};
use time::OffsetDateTime;

/// A pure decision over state that is folded from the log, with the SQL that
/// loads and stores that state.
///
/// A batch goes `load` → `decide` for each input in log order → `store`, in one
/// transaction that also fills the outbox and moves the checkpoint. The
/// connection's `search_path` is the engine's own schema.
pub trait Engine: Send + Sync + 'static {
    /// As in `compline engine ad`: also the producer of all its outputs. Kebab
    /// case.
    const NAME: &'static str;

    const INPUTS: &'static [Topic];

    /// Inputs of these topics are decided over first: a batch of another topic
    /// waits until all that the log held of these when it was read has been
    /// decided over. Thus an answer that a command was given before a webhook came
    /// holds for the webhook.
    const FIRST: &'static [Topic] = &[];

    /// Every topic that an output may go to.
    const OUTPUTS: &'static [Topic];

    /// What one batch of inputs needs to know, and what it changed.
    type State: Send;

    /// Makes the engine's tables in the schema that `search_path` names.
    fn migrator() -> Migrator;

    /// Locks the entities that `inputs` touch, in sorted order, and reads their
    /// state *after* the lock: two inputs of different partitions may meet in one
    /// entity, and a lock on a row that is not there locks nothing.
    fn load(
        &self,
        conn: &mut PgConnection,
        inputs: &[Recorded],
    ) -> impl Future<Output = Result<Self::State, sqlx::Error>> + Send;

    /// Folds one input and says what follows from it. Pure: times come from the
    /// input.
    ///
    /// # Errors
    /// What can never be decided; the input's key is parked.
    fn decide(
        &self,
        state: &mut Self::State,
        input: &Recorded,
        outputs: &mut Outputs,
    ) -> Result<(), FoldError>;

    /// Writes each table once.
    fn store(
        &self,
        conn: &mut PgConnection,
        state: Self::State,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// What time alone brings, and what was too much for a batch; called every
    /// minute in a transaction of its own that also fills the outbox, and again at
    /// once for as long as there is more to do.
    ///
    /// Every input that the log held at `decided_until` has been decided over:
    /// only up to then may a waiting period end, for what was waited for may stand
    /// in the log unread. Absent while an input partition is behind.
    fn tick(
        &self,
        _conn: &mut PgConnection,
        _decided_until: Option<OffsetDateTime>,
        _outputs: &mut Outputs,
    ) -> impl Future<Output = Result<Tick, sqlx::Error>> + Send {
        async { Ok(Tick::Done) }
    }
}

/// Whether a call of the timer did all that was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    Done,
    More,
}

/// One event to be. The frame adds its id, its number and the time of recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The record that the event is about; not whatever triggered it.
    pub about: RecordId,
    /// Which of that record's outputs it is; see [`EventId::derived`].
    pub slot: String,
    pub tenant: TenantId,
    pub occurred_at: OffsetDateTime,
    pub source: Source,
    pub actor: String,
    pub causation_id: EventId,
    pub correlation_id: Option<EventId>,
    pub traceparent: String,
    pub event: Event,
}

/// What a batch has decided so far, in order.
#[derive(Debug, Default)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    pub fn push(&mut self, output: Output) {
        self.0.push(output);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was pushed after the first `len`.
    pub(crate) fn since(&self, len: usize) -> &[Output] {
        &self.0[len..]
    }

    /// Takes away what does not satisfy `keep`.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Output) -> bool) {
        self.0.retain(keep);
    }

    pub fn into_vec(self) -> Vec<Output> {
        self.0
    }
}
