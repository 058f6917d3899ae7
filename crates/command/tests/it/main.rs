//! Commands end to end: gRPC, a real broker, a real Postgres, running projectors.

mod accounts;
mod keys;
mod notifications;
mod street;
mod tenants;
mod trouble;
