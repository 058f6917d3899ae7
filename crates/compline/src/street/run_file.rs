//! What a running street says of itself to other processes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    pub pid: u32,
    pub version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    pub addresses: Addresses,
    /// The prefix of all topic names.
    pub topic_prefix: String,
    /// How operators' tools connect to the database, passwords included; the file
    /// is the owner's alone.
    pub database_url: String,
}

/// Where each door is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    pub ingress: SocketAddr,
    pub query: SocketAddr,
    pub command: SocketAddr,
    pub admin: SocketAddr,
    /// `bootstrap.servers` of the embedded log.
    pub kafka: String,
    pub postgres: SocketAddr,
}

impl RunFile {
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("strings, numbers and addresses serialize");
        text.push('\n');
        text
    }

    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
