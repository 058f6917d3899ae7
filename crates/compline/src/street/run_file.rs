//! What a running street says of itself to other processes.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    pub pid: u32,
    pub version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Whether the doors are closing.
    #[serde(default)]
    pub stopping: bool,
    pub addresses: Addresses,
    /// The prefix of all topic names.
    pub topic_prefix: String,
    pub database: DatabaseAccess,
}

/// Where each door is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    pub ingress: SocketAddr,
    pub query: SocketAddr,
    pub command: SocketAddr,
    pub admin: SocketAddr,
    /// `bootstrap.servers` of the log.
    pub kafka: String,
    pub postgres: SocketAddr,
}

/// How operators' tools connect to the database of this run. The passwords are
/// drawn anew at each start; the file is its owner's alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseAccess {
    /// Without user and password.
    pub url: String,
    pub owner_password: String,
    pub query_password: String,
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

impl fmt::Debug for DatabaseAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseAccess")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
