//! The projection on real Postgres: its laws, and who may read its rows.

mod event;
mod house;
mod laws;
mod tenants;
