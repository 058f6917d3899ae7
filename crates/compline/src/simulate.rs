//! A life of ads over HTTP: what it sends, what must come of it, and how long
//! that takes.
//!
//! [`generator`] and [`model`] are pure: the same seed gives the same bodies and
//! the same expected rows, so benches and crash tests play the same life and
//! know what must stand at its end. [`sender`] and [`watcher`] are the shell.

pub mod audience;
pub mod generator;
pub mod latency;
pub mod model;
pub mod run;
pub mod sender;
pub mod watcher;
