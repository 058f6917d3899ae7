//! The frame on a real log and a real Postgres, with an engine whose decisions
//! depend on how often it has decided: to decide twice shows in what it tells.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod counting;
mod crash;
mod lost;
mod redrive;
mod refusals;
mod street;
mod telling;
