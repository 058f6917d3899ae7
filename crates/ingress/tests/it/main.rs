//! What senders rely on: nothing unsigned gets in, and 200 means that the log has it.

// The lint's own exception is for test functions only, not for what they share.
#![allow(clippy::unwrap_used)]

mod bounds;
mod config;
mod delivery;
mod drain;
mod fixture;
mod handshake;
mod outage;
mod peer;
mod signature;
mod street;
