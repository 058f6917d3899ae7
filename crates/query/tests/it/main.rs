//! The services over a real gRPC server and a real Postgres; only the projector is
//! played, so that a test says when a batch is committed.

// A test that cannot go on says where.
#![allow(clippy::unwrap_used)]

mod ads;
mod consistency;
mod filter;
mod house;
mod paging;
mod watch;
