//! One LISTEN per process: what projectors committed, as it happens.
//!
//! A notification is a hint. Whoever waits reads again, and reads again without
//! one after a while, so a lost notification delays and never misleads.

use std::{collections::HashSet, sync::Arc, time::Duration};

use compline_event::TenantId;
use sqlx::{Executor as _, PgConnection, PgPool, postgres::PgListener};
use tokio::{sync::broadcast, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    generation::Generation,
    silence::{SILENCE, unless_silent},
};

const CHANNEL: &str = "compline_wake";

/// Postgres takes payloads up to 8000 bytes; a tenant is 36 of them.
const TENANTS_PER_PAYLOAD: usize = 200;

/// How many wakes a slow listener may lag behind before it is told to read anew.
const BACKLOG: usize = 1024;

/// After so long without a notification Postgres is asked whether it is there.
const QUIET: Duration = Duration::from_secs(5);

const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// A batch was committed, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    Committed {
        projection: String,
        tenants: Vec<TenantId>,
    },
    /// The connection was lost and is there again; anything may have happened.
    Unknown,
}

impl Wake {
    pub fn concerns(&self, projection: &str, tenant: TenantId) -> bool {
        match self {
            Wake::Unknown => true,
            Wake::Committed {
                projection: committed,
                tenants,
            } => committed == projection && tenants.contains(&tenant),
        }
    }

    pub fn concerns_projection(&self, projection: &str) -> bool {
        match self {
            Wake::Unknown => true,
            Wake::Committed {
                projection: committed,
                ..
            } => committed == projection,
        }
    }
}

/// The listener of this process; clones share it, and the last one ends it.
#[derive(Clone, Debug)]
pub struct Wakes {
    wakes: broadcast::Sender<Arc<Wake>>,
    _listener: Arc<AbortOnDropHandle<()>>,
}

impl Wakes {
    pub fn start(pool: PgPool) -> Self {
        let (wakes, _) = broadcast::channel(BACKLOG);
        let listener = tokio::spawn(listen(pool, wakes.clone()));
        Self {
            wakes,
            _listener: Arc::new(AbortOnDropHandle::new(listener)),
        }
    }

    /// A receiver that lags has missed wakes and must read anew.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Wake>> {
        self.wakes.subscribe()
    }
}

/// Tells every listener, when the transaction commits, whose rows it changed.
/// With no tenant at all it still says that the position moved. Of a generation
/// that nobody reads nothing is told.
///
/// Not for transactions that wait for the disk: Postgres lets only one that
/// notifies commit at a time.
pub async fn notify(
    conn: &mut PgConnection,
    projection: &str,
    generation: Generation,
    tenants: &HashSet<TenantId>,
) -> Result<(), sqlx::Error> {
    let mut sorted: Vec<TenantId> = tenants.iter().copied().collect();
    sorted.sort_unstable();
    let mut payloads: Vec<String> = sorted
        .chunks(TENANTS_PER_PAYLOAD)
        .map(|chunk| payload(projection, chunk))
        .collect();
    if payloads.is_empty() {
        payloads.push(payload(projection, &[]));
    }
    sqlx::query!(
        "SELECT pg_notify($1, payload)
         FROM UNNEST($2::text[]) AS told (payload), compline.pointer
         WHERE projection = $3 AND generation = $4",
        CHANNEL,
        &payloads,
        projection,
        generation,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Tells every listener that anything may have changed.
pub(crate) async fn notify_all(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
        .fetch_one(conn)
        .await?;
    Ok(())
}

fn payload(projection: &str, tenants: &[TenantId]) -> String {
    let tenants: Vec<String> = tenants
        .iter()
        .map(|tenant| tenant.as_uuid().simple().to_string())
        .collect();
    format!("{projection} {}", tenants.join(","))
}

fn parse(payload: &str) -> Wake {
    let parsed = || {
        let (projection, tenants) = payload.split_once(' ')?;
        let tenants = tenants
            .split(',')
            .filter(|tenant| !tenant.is_empty())
            .map(|tenant| Uuid::parse_str(tenant).ok().map(TenantId::new))
            .collect::<Option<_>>()?;
        Some(Wake::Committed {
            projection: projection.to_owned(),
            tenants,
        })
    };
    parsed().unwrap_or(Wake::Unknown)
}

async fn listen(pool: PgPool, wakes: broadcast::Sender<Arc<Wake>>) {
    loop {
        if let Err(error) = listen_once(&pool, &wakes).await {
            tracing::warn!(%error, "the listener for committed batches lost its connection");
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn listen_once(
    pool: &PgPool,
    wakes: &broadcast::Sender<Arc<Wake>>,
) -> Result<(), sqlx::Error> {
    // A pool for this once: of a listener that has gone silent the place is never free.
    let own = pool.options().clone().max_connections(1);
    let own = own.connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    unless_silent(SILENCE, listener.listen(CHANNEL)).await?;
    // Nobody listening is no error: a wake is only a hint.
    let _ = wakes.send(Arc::new(Wake::Unknown));
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(told) => match told? {
                Some(notification) => {
                    let _ = wakes.send(Arc::new(parse(notification.payload())));
                }
                None => return Ok(()),
            },
            // Nothing is committed, or nobody is there to say so.
            Err(_) => {
                unless_silent(SILENCE, listener.execute("SELECT 1")).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_as_it_was_written() {
        let tenant = TenantId::new(Uuid::from_u128(7));
        let wake = parse(&payload("ad-status", &[tenant]));
        assert!(wake.concerns("ad-status", tenant));
        assert!(!wake.concerns("activity", tenant));
        assert!(!wake.concerns("ad-status", TenantId::OPERATOR));
        assert!(parse(&payload("ad-status", &[])).concerns_projection("ad-status"));
    }

    #[test]
    fn nonsense_wakes_everyone() {
        assert_eq!(parse("ad-status nonsense"), Wake::Unknown);
    }
}
