//! The loop on a real log and a real Postgres, with a fold that cannot hide a
//! mistake: it adds, so an event applied twice or not at all shows in its rows.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod column;
mod crash;
mod damage;
mod fence;
mod foreign;
mod generations;
mod inside;
mod marks;
mod poison;
mod redrive;
mod shared;
mod silent;
mod street;
mod tally;
