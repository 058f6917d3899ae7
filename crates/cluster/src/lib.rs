//! A private PostgreSQL for one program: found or fetched, initialised, run, stopped.
//!
//! It stands at the very bottom: whoever needs a database on a machine that has none starts a
//! [`Cluster`] on a folder and gets a URL. The same folder gives the same data again.
//!
//! Invariants:
//! - it knows nothing of the program above it: no table, no role but the superuser, no name of ours
//!   except the one given in [`ClusterConfig::name`];
//! - no Postgres outlives the process that started it, however that process ends (`watcher.sh`);
//! - nothing has to be cleaned by hand after a kill: locks die with their process, and a stale
//!   `postmaster.pid` is told from a live one;
//! - a folder has at most one running cluster;
//! - Postgres never runs as root, and listens on 127.0.0.1 only, with a password;
//! - what was written stays written (`fsync = on`), unless a test asked for
//!   [`ClusterConfig::lose_data_on_crash`].

mod account;
mod binaries;
mod cluster;
mod config;
mod error;
mod initdb;
mod log;
mod outlook;
mod place;
mod postmaster;
mod settings;

pub use cluster::Cluster;
pub use config::ClusterConfig;
pub use error::ClusterError;
pub use outlook::{Outlook, leftover_port};
