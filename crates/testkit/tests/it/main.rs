//! The walls between the rooms and the tenants, and whether the kit finds what it
//! is there to find.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod kit;
mod laws;
mod tenant;
mod walls;
