//! The binary's inside: the composition root, the roles as subcommands, and the
//! tools of operators and analysts.
//!
//! It is the only room that knows every other one, and it holds no rule of the
//! domain: `up` and `role` put rooms together, `cli` asks them over their doors
//! (gRPC, HTTP, Kafka) as any other client would. It is a library so that tests
//! and benches can start a street of their own.

pub mod admin_client;
pub mod backup;
pub mod cli;
pub mod client;
pub mod config;
pub mod inspect;
pub mod lag;
pub mod metric;
pub mod output;
pub mod problem;
pub mod process;
pub mod replay;
pub mod role;
pub mod settle;
pub mod show;
pub mod simulate;
pub mod street;
pub mod up;
pub mod webhook;
pub mod wire_json;
