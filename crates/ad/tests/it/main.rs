//! The engine from outside: bodies and connections in, outputs out.

mod laws;
mod person;
mod rules;
mod shapes;
mod store;
mod unknown;
mod world;
