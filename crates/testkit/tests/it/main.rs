//! The walls between the rooms, and whether the kit finds what it is there to find.

mod kit;
mod laws;
mod walls;
