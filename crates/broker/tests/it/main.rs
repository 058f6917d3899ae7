//! The broker from outside: rdkafka as its client, raw bytes as its enemy, kill -9 as its end.

// Clippy takes only the test functions themselves for tests.
#![allow(clippy::unwrap_used)]

mod admin;
mod client;
mod compaction;
mod consume;
mod crash;
mod full_disk;
mod inspect;
mod limits;
mod produce;
mod raw;
mod restart;
mod stats;
mod stop;
