//! The engine from outside: bodies and connections in, outputs out.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod laws;
mod person;
mod rules;
mod shapes;
mod store;
mod street;
mod unknown;
mod world;
