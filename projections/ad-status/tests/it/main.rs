//! The projection on real Postgres: its laws, and who may read its rows.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod event;
mod house;
mod laws;
mod tenants;
