//! What tests stand on: a real PostgreSQL and a real log that leave nothing
//! behind, the laws that every projection must obey, and a verifier that folds the
//! log on its own and compares.
//!
//! For tests, benches and the soak alone; nothing of the product imports it. It
//! mocks nothing.

pub mod database;
pub mod dump;
pub mod law;
pub mod log;
pub mod verify;

pub use database::TestDatabase;
pub use dump::Dump;
pub use log::TestLog;
