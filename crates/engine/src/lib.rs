//! The frame of protocol §2: a consumer that turns events into more events.
//!
//! One transaction holds an engine's state, its outbox (the exact bytes), its
//! checkpoint and its marks: what was decided is fixed before anyone sees it. A
//! relay then appends the outbox in number order. An engine knows only the log;
//! its own state is folded from it. This crate knows no engine in particular.

pub mod engine;

pub use engine::{Engine, Output, Outputs};
