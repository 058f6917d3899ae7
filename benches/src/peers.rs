//! Others on the same work in the same run: rows whose limit is a peer. The scripts in
//! `benches/peers` install it, pinned; it is started here, takes turns with ours, and is
//! ended. `benches/peers/README.md` says where its work and ours differ.

mod connect;
mod flask;
mod postgres_es;
mod process;

pub(crate) use connect::measure as connect;
pub(crate) use flask::measure as flask;
pub(crate) use postgres_es::measure as postgres_es;
