//! The log's client against a real broker.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod append;
mod group;
mod read;
mod street;
mod topics;
