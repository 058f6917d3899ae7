//! Commands end to end: gRPC, a real broker, a real Postgres, running projectors.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

mod accounts;
mod keys;
mod notifications;
mod reads;
mod street;
mod tenants;
mod trouble;
