//! The frame on a real log and a real Postgres, with an engine whose decisions
//! depend on how often it has decided: to decide twice shows in what it tells.

mod counting;
mod refusals;
mod street;
mod telling;
