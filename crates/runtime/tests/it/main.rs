//! What a process relies on: settings that fail by name, tasks that never end unseen, doors with
//! bounds.

// The lint's own exception is for test functions only, not for what they share.
#![allow(clippy::unwrap_used)]

mod config;
mod grpc;
mod health;
mod http;
mod tasks;
mod telemetry;
