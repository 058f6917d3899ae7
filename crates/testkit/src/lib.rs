//! What tests stand on: a Postgres and a broker of their own, events to tell, the
//! laws that every projection must keep, and a verifier that folds the log on its
//! own and compares.
//!
//! Nothing here is a fake. The database is PostgreSQL with compline's roles, the
//! log is the embedded broker, and a projection runs `load`, `apply`, `store` in
//! a transaction as in production; only the loop around it is missing.
//!
//! What is made for a test panics when it cannot be made: there is nobody to
//! handle an error. What is found out about the product is a `Result`.

mod broker;
mod compare;
pub mod crash;
mod dump;
pub mod fuzz;
pub mod law;
mod postgres;
mod stage;
mod story;
pub mod verify;
mod way;

pub use broker::{TestBroker, broker, log};
pub use compare::same_rows;
pub use dump::{dump, dump_without, tables};
pub use postgres::{Postgres, postgres};
pub use stage::{Refused, Stage};
pub use story::{Story, tenant};
pub use way::Way;
