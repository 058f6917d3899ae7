//! The frame of protocol §2: a consumer that turns events into more events.
//!
//! ```text
//!   log ─▶ projector's loop ─▶ decide ─▶ one transaction: state, outbox, numbers, checkpoint
//!                                                              │
//!   log ◀───────────────────────── relay ◀────────── outbox ◀──┘
//! ```
//!
//! What was decided is fixed before anyone sees it; the relay tells it in number
//! order, and tells it again when it is not sure. An engine knows only the log;
//! its own state is folded from it, and folded again when its database was lost:
//! what the log holds already is not told a second time. This crate knows no
//! engine in particular.

mod depth;
mod engine;
mod fold;
mod ledger;
pub mod metric;
mod order;
mod outbox;
mod recovery;
mod relay;
mod run;
mod setup;
mod timer;

pub use engine::{Engine, Output, Outputs, Tick};
pub use run::{EngineConfig, EngineError, EngineRunner};
pub use setup::{migrate, migrator};

/// The schema of outbox, counters and relays.
pub const SCHEMA: &str = "engine";

/// The name under which an engine's checkpoints are kept.
pub fn checkpoint_name(engine: &str) -> String {
    format!("engine:{engine}")
}

/// The schema of an engine's own state.
pub fn state_schema(engine: &str) -> String {
    format!("engine_{}", engine.replace('-', "_"))
}
