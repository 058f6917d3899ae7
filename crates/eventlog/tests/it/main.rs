//! The log's client against a real broker.

mod append;
mod group;
mod read;
mod street;
mod topics;
