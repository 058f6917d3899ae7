//! The walls between the rooms and the tenants, and whether the kit finds what it
//! is there to find.

// Clippy takes only the test functions themselves for tests.
#![allow(clippy::unwrap_used)]

mod fuzz;
mod kit;
mod laws;
mod tenant;
mod walls;
