//! The protocol as models, checked in every state that they have.
//!
//! Each part of the protocol that keeps a promise is a small world here: what stands in Postgres
//! and in the log, what processes remember, the steps that the code takes, and the strikes of fate
//! (crashes, answers that are lost, zombies, a database that goes back). [`stateright`] visits all
//! states; the promises hold in each, and from each the protocol comes to its end by itself. Then
//! one rule is taken away, and there is a way to break one: that is the rule's reason.
//!
//! ```text
//!   projector   owners, fences, marks, Postgres without its tail
//!   engine      decisions, numbers, outbox, relays, a reader
//!   recovery    an engine's database that goes back
//!   entity      two inputs that meet
//!   redrive     parked keys, tried again beside live traffic
//!   generation  a rebuild, compared and promoted
//!   log         the broker: what is synced, and producer ids
//! ```
//!
//! It imports nothing of compline: it says again, in another way, what the code does. README.md
//! says where the two differ.

mod cases;
mod check;
mod engine;
mod entity;
mod generation;
mod graph;
mod guard;
mod log;
mod part;
mod projector;
mod promise;
mod reader;
mod recovery;
mod redrive;
mod rules;
mod story;

pub use cases::{CASES, Case};
pub use check::{Broken, Verdict};
pub use guard::{Guard, Guards};
pub use rules::{RULES, Rule};
pub use story::Story;
