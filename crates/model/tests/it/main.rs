//! Every rule is needed, and all of them together are enough.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod parts;
mod rules;
