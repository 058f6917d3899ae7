//! One reader per watched tenant, however many watch.
//!
//! It is woken when a batch with rows of the tenant was committed, reads in one
//! snapshot what changed since it last looked, and tells every watcher. It never
//! waits for one: who falls behind sees a gap between its own position and the
//! next batch's `from`, and closes it by a read of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use compline_ad_status::{Ad, NAME, view};
use compline_event::{TenantId, Token};
use compline_readmodel::{ReadError, Reader, Snapshot, Wake, Want};
use metrics::{gauge, histogram};
use tokio::sync::{
    Semaphore, SemaphorePermit,
    broadcast::{self, error::RecvError},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::metric;

/// What a hub keeps for watchers that have not looked yet: batches of rows.
const BACKLOG_BATCHES: usize = 16;
const BATCH_ROWS: i64 = 256;

/// Watches of one tenant in one process.
const MAX_WATCHERS: usize = 256;

/// Changes within this time are read together.
const COALESCE: Duration = Duration::from_millis(8);

/// A notification may be lost: look again after this long without one.
const REREAD: Duration = Duration::from_secs(5);

/// Reads at one time by all hubs and watchers of this process: a thousand that
/// begin at once wait for each other, and leave connections to plain calls.
const READS: usize = 2;

const RETRY: Duration = Duration::from_millis(500);

/// The rows of one tenant that changed between two positions, or a part of them.
#[derive(Debug)]
pub(super) struct Batch {
    /// Who has not seen this much misses something.
    pub(super) from: Token,
    pub(super) ads: Vec<Arc<Ad>>,
    /// What has been told with this batch and those before it; `from` until the
    /// last part.
    pub(super) seen: Token,
}

/// The hubs of this process.
#[derive(Clone, Debug)]
pub(in crate::ad) struct Hubs {
    pub(super) rows: Rows,
    hubs: Arc<Mutex<HashMap<TenantId, Weak<Hub>>>>,
}

/// The way to a tenant's rows, for all that is behind a watch.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) reader: Reader,
    reads: Arc<Semaphore>,
}

/// Ends with its last member.
#[derive(Debug)]
struct Hub {
    tenant: TenantId,
    changes: broadcast::Sender<Arc<Batch>>,
    _task: AbortOnDropHandle<()>,
    hubs: Arc<Mutex<HashMap<TenantId, Weak<Hub>>>>,
}

/// A place at a hub.
#[derive(Debug)]
pub(super) struct Member {
    changes: broadcast::Receiver<Arc<Batch>>,
    _hub: Arc<Hub>,
}

impl Hubs {
    pub(in crate::ad) fn new(reader: Reader) -> Self {
        Self {
            rows: Rows {
                reader,
                reads: Arc::new(Semaphore::new(READS)),
            },
            hubs: Arc::default(),
        }
    }

    /// Whatever the hub reads from now on comes to this member.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when the tenant has its watches already.
    pub(super) fn join(&self, tenant: TenantId) -> Result<Member, Status> {
        let mut hubs = self
            .hubs
            .lock()
            .expect("nothing panics while it holds the hubs");
        let hub = match hubs.get(&tenant).and_then(Weak::upgrade) {
            Some(hub) => hub,
            None => {
                let hub = Arc::new(self.start(tenant));
                hubs.insert(tenant, Arc::downgrade(&hub));
                gauge!(metric::HUBS).increment(1.0);
                hub
            }
        };
        drop(hubs);
        if hub.changes.receiver_count() >= MAX_WATCHERS {
            return Err(Status::resource_exhausted(format!(
                "{MAX_WATCHERS} watches are open already"
            )));
        }
        Ok(Member {
            changes: hub.changes.subscribe(),
            _hub: hub,
        })
    }

    fn start(&self, tenant: TenantId) -> Hub {
        let (changes, _) = broadcast::channel(BACKLOG_BATCHES);
        let task = tokio::spawn(run(self.rows.clone(), tenant, changes.clone()));
        Hub {
            tenant,
            changes,
            _task: AbortOnDropHandle::new(task),
            hubs: self.hubs.clone(),
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        gauge!(metric::HUBS).decrement(1.0);
        let Ok(mut hubs) = self.hubs.lock() else {
            return;
        };
        // A new one may stand in its place already.
        if hubs
            .get(&self.tenant)
            .is_some_and(|hub| hub.strong_count() == 0)
        {
            hubs.remove(&self.tenant);
        }
    }
}

impl Member {
    /// `None` when batches were dropped: the next one's `from` tells which.
    pub(super) async fn next(&mut self) -> Option<Arc<Batch>> {
        match self.changes.recv().await {
            Ok(batch) => Some(batch),
            Err(RecvError::Lagged(_)) => None,
            // The hub holds a sender, and this member holds the hub.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Rows {
    /// What is there now. The permit is to live as long as the snapshot.
    pub(super) async fn now(
        &self,
        tenant: TenantId,
    ) -> Result<(Snapshot, SemaphorePermit<'_>), ReadError> {
        let permit = self
            .reads
            .acquire()
            .await
            .expect("nobody closes the semaphore");
        let snapshot = self.reader.snapshot(tenant, &Want::now()).await?;
        Ok((snapshot, permit))
    }
}

async fn run(rows: Rows, tenant: TenantId, changes: broadcast::Sender<Arc<Batch>>) {
    // Before the first look, so that no commit falls between look and wait.
    let mut wakes = rows.reader.wakes().subscribe();
    let mut position: Option<Token> = None;
    loop {
        let started = Instant::now();
        match read(&rows, tenant, position.clone(), &changes).await {
            Ok(seen) => position = Some(seen),
            Err(error) => {
                tracing::warn!(%tenant, %error, "changes could not be read for watchers");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        histogram!(metric::HUB_READ_SECONDS).record(started.elapsed());
        let woken = concerned(&mut wakes, tenant);
        let _ = tokio::time::timeout(REREAD, woken).await;
        tokio::time::sleep(COALESCE.saturating_sub(started.elapsed())).await;
    }
}

async fn concerned(wakes: &mut broadcast::Receiver<Arc<Wake>>, tenant: TenantId) {
    loop {
        match wakes.recv().await {
            Ok(wake) if !wake.concerns(NAME, tenant) => {}
            Err(RecvError::Closed) => std::future::pending().await,
            // A lagging receiver has missed wakes.
            Ok(_) | Err(RecvError::Lagged(_)) => return,
        }
    }
}

/// Tells what changed since `position`, and says what has been seen. The first
/// time nothing has changed yet.
async fn read(
    rows: &Rows,
    tenant: TenantId,
    position: Option<Token>,
    changes: &broadcast::Sender<Arc<Batch>>,
) -> Result<Token, ReadError> {
    let (mut snapshot, _permit) = rows.now(tenant).await?;
    let seen = snapshot.seen().position.clone();
    let from = position.unwrap_or_else(|| seen.clone());
    let tell = |ads: Vec<Arc<Ad>>, seen: &Token| {
        let batch = Batch {
            from: from.clone(),
            ads,
            seen: seen.clone(),
        };
        // Nobody there is no error: the last one is just leaving.
        let _ = changes.send(Arc::new(batch));
    };
    let mut after = None;
    loop {
        let ads = snapshot
            .read(async |conn| view::changed(conn, &from, after, BATCH_ROWS).await)
            .await?;
        let full = ads.len() as i64 == BATCH_ROWS;
        after = ads.last().map(|ad| (ad.partition, ad.offset));
        let ads = ads.into_iter().map(Arc::new).collect();
        if !full {
            tell(ads, &seen);
            return Ok(seen);
        }
        tell(ads, &from);
    }
}
