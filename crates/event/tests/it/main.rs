// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod golden;
mod sample;
