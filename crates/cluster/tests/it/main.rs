//! Against real servers; each test has a folder and a port of its own.

// The lint's own exception is for test functions only, not for what they share.
#![allow(clippy::unwrap_used)]

mod crash;
mod lifecycle;
mod place;

use std::path::Path;
use std::time::Duration;

use compline_cluster::{Cluster, ClusterConfig};
use sqlx::{Connection, PgConnection};

/// A folder that Postgres' user can reach, which a temporary folder's mode alone decides.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("cluster-")
        .tempdir()
        .unwrap()
}

/// The machine's own server, so that no test waits for a download, and few resources.
fn config(data: &Path) -> ClusterConfig {
    ClusterConfig {
        prefer_system: true,
        shared_buffers: "16MB".to_owned(),
        max_connections: 10,
        lose_data_on_crash: true,
        name: "cluster-test".to_owned(),
        ..ClusterConfig::new(data)
    }
}

async fn connect(cluster: &Cluster, database: &str) -> PgConnection {
    PgConnection::connect(&cluster.url(database)).await.unwrap()
}

/// Tries until `condition` holds; false when it does not within `limit`.
async fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + limit;
    while std::time::Instant::now() < deadline {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Whether the process runs; one that only waits for its parent to look (a zombie) does not.
fn alive(pid: i32) -> bool {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}
