//! The loop of protocol §1 around any fold: each partition that the group gives
//! us is claimed, read from where Postgres says, and applied batch by batch, rows
//! and position in one transaction. Batches of several partitions share one.
//!
//! ```text
//!   group ─▶ Projector ─▶ one Owner per partition:  claim ─▶ verify ─▶ batch ─▶ batch ─▶ …
//!                                                     ▲                  │        │
//!                                                     └── fence lost, ───┤        │
//!                                                         rollback:      ▼        ▼
//!                                                         forget      Committer: one
//!                                                         and look    transaction of what
//!                                                         again       waits by now
//! ```
//!
//! It knows no projection in particular, writes no row itself, and keeps nothing
//! over a rollback. Engines run on the same loop; their fold also fills an outbox.

mod batch;
mod commit;
mod committer;
mod culprit;
mod fold;
mod generations;
mod lag;
pub mod metric;
mod owner;
mod redrive;
mod run;
mod status;
mod tempo;
mod trace;

pub use fold::{Fold, ProjectionFold, PutOff};
pub use generations::{Board, Generations, GenerationsConfig, GenerationsError};
pub use redrive::{RedriveError, RedriveMode, Redriven, redrive};
pub use run::{Projector, ProjectorConfig, ProjectorError};
pub use status::{Behind, PartitionState, Status};
pub use tempo::Tempo;

/// Which build parked a key.
pub const CODE_VERSION: &str = env!("CARGO_PKG_VERSION");
