//! The log's client against a real broker.

// Clippy takes only the test functions themselves for tests.
#![allow(clippy::unwrap_used)]

mod append;
mod copy;
mod group;
mod read;
mod street;
mod topics;
