//! The projection on real Postgres: its laws, and who may read its rows.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

mod event;
mod house;
mod laws;
mod tenants;
