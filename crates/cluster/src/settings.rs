//! Postgres' settings, given on its command line so that a newer program's apply at the next start.

use crate::ClusterConfig;

/// For one machine that holds read models: little memory, few connections, much written by
/// sessions that do not wait for the disk.
pub(crate) fn arguments(config: &ClusterConfig, port: u16) -> Vec<String> {
    let mut settings: Vec<(&str, String)> = [
        ("listen_addresses", "127.0.0.1"),
        // A socket's path is at most 103 bytes long, and a data folder's may be longer.
        ("unix_socket_directories", ""),
        // Compiling a plan costs more than the short statements of projections ever win back.
        ("jit", "off"),
        // No replica ever follows, so the log need not carry what only replicas read.
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        // Fewer checkpoints: after each, every page's first change is logged whole.
        ("max_wal_size", "2GB"),
        ("checkpoint_timeout", "15min"),
        ("wal_buffers", "16MB"),
        // A schema for each build of each read model, its tables partitioned.
        ("max_locks_per_transaction", "256"),
        // Solid-state disks.
        ("random_page_cost", "1.1"),
        ("autovacuum_naptime", "15s"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("lc_messages", "C"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
        ("log_checkpoints", "off"),
        ("log_lock_waits", "on"),
        ("update_process_title", "off"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .to_vec();
    settings.push(("port", port.to_string()));
    settings.push(("max_connections", config.max_connections.to_string()));
    settings.push(("shared_buffers", config.shared_buffers.clone()));
    if config.lose_data_on_crash {
        for key in ["fsync", "synchronous_commit", "full_page_writes"] {
            settings.push((key, "off".to_owned()));
        }
    }
    settings.extend(
        config
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone())),
    );
    settings
        .into_iter()
        .flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")])
        .collect()
}
