//! The Postgres side of the promises: what a projection is, where its rows and
//! its position live, who may touch them, and how they are read.
//!
//! Rows and checkpoint move in one transaction or not at all (protocol §1), and a
//! read sees pointer, checkpoints and rows in one snapshot (protocol §6). This
//! crate knows nothing of Kafka and of no projection in particular.

pub mod checkpoint;
pub mod compare;
pub mod crash;
pub mod fault;
pub mod generation;
pub mod hold;
pub mod lease;
pub mod mark;
pub mod park;
pub mod pool;
pub mod projection;
pub mod read;
pub mod role;
pub mod silence;
pub mod steward;
pub mod wake;

pub use checkpoint::{Advance, Epoch, Fence, Move, Place};
pub use fault::{Fault, classify};
pub use generation::Generation;
pub use lease::{Lease, Line};
pub use mark::{Marks, Taken};
pub use pool::Database;
pub use projection::{FoldError, Projection};
pub use read::{OnTimeout, ReadError, Reader, Seen, Snapshot, Want};
pub use role::Role;
pub use silence::{SILENCE, unless_silent};
pub use steward::{Steward, StewardError};
pub use wake::{Wake, Wakes};
