//! Connections, one kind for each role and schema.

use std::{sync::Arc, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::role::Role;

/// Longest a writer's statement may run, and longest its transaction may sit
/// idle. Both lie below [`GROUP_SESSION_TIMEOUT`], so that an owner that was
/// stopped cannot hold the fence when its partition goes to another.
pub const WRITER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
pub const WRITER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The consumer group's `session.timeout.ms` that the above is made for.
pub const GROUP_SESSION_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const READER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a machine held that is gone without a word, Postgres takes back after a minute:
/// by the system's own settings, after two hours. Milliseconds and seconds.
const GONE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "60000"),
];

/// How long a caller waits for a connection before it is told that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the read models are, and how each role enters.
#[derive(Clone)]
pub struct Database {
    options: Arc<dyn Fn(Role) -> PgConnectOptions + Send + Sync>,
}

impl Database {
    /// `options` gives server, database, user and password of each role.
    pub fn new(options: impl Fn(Role) -> PgConnectOptions + Send + Sync + 'static) -> Self {
        Self {
            options: Arc::new(options),
        }
    }

    /// The connect options of `role` with its session settings, in `schema`.
    pub fn options(&self, role: Role, schema: &str) -> PgConnectOptions {
        let options = (self.options)(role)
            .application_name(role.as_str())
            .options([("search_path", schema)])
            .options(GONE);
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        match role {
            Role::Owner => options,
            // A crash of Postgres loses rows and checkpoint together, and the log
            // has them: a projector's commit need not wait for the disk.
            Role::Projector => writer(options).options([("synchronous_commit", "off")]),
            // An engine's decision is told to others; it must not be forgotten.
            Role::Engine => writer(options).options([("synchronous_commit", "on")]),
            Role::Query => options.options([
                (
                    "statement_timeout",
                    milliseconds(READER_STATEMENT_TIMEOUT).as_str(),
                ),
                ("default_transaction_read_only", "on"),
            ]),
        }
    }

    /// A pool that connects when it is first used.
    pub fn pool(&self, role: Role, schema: &str, max_connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // The pool's own ping costs a round trip on each use; a broken
            // connection shows itself by the first statement, which is retried.
            .test_before_acquire(false)
            .connect_lazy_with(self.options(role, schema))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

fn writer(options: PgConnectOptions) -> PgConnectOptions {
    let milliseconds = |limit: Duration| limit.as_millis().to_string();
    options.options([
        (
            "statement_timeout",
            milliseconds(WRITER_STATEMENT_TIMEOUT).as_str(),
        ),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(WRITER_IDLE_TIMEOUT).as_str(),
        ),
        ("lock_timeout", milliseconds(WRITER_IDLE_TIMEOUT).as_str()),
    ])
}
