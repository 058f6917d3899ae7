//! What a street shows of itself: metrics, what is made of them, and traces.

mod metrics;
mod named;
mod process;
mod traces;
