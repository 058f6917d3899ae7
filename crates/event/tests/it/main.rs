// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod compatible;
mod golden;
mod release;
mod sample;
