//! What a street shows of itself: metrics, and what is made of them.

mod metrics;
mod named;
mod process;
