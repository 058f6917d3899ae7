//! The look-up of live keys that every call begins with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use compline_event::TenantId;
use compline_readmodel::{ReadError, Reader, Wake, Want};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::{row::ApiKey, view};

/// How long a key that was found is believed when nothing says otherwise: the
/// longest that a revoked one may still enter after its revocation was projected.
pub const KEY_TTL: Duration = Duration::from_secs(1);

/// Keys remembered at one time; beyond it, the expired go, and if none has, all.
const CAPACITY: usize = 10_000;

/// Live keys by tenant and id, remembered for [`KEY_TTL`] or until the tenant's
/// rows change, whichever is sooner.
///
/// Only keys that exist are remembered: one that was just made enters at once, and
/// guessing ids fills nothing.
#[derive(Debug)]
pub struct KeyStore {
    reader: Reader,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    known: HashMap<TenantId, HashMap<String, Known>>,
    count: usize,
    /// A hint, as every wake is; [`KEY_TTL`] covers what it misses.
    wakes: Receiver<Arc<Wake>>,
}

#[derive(Debug)]
struct Known {
    key: ApiKey,
    since: Instant,
}

impl KeyStore {
    /// `reader` reads this projection.
    pub fn new(reader: Reader) -> Self {
        let memory = Memory {
            known: HashMap::new(),
            count: 0,
            wakes: reader.wakes().subscribe(),
        };
        Self {
            reader,
            memory: Mutex::new(memory),
        }
    }

    /// The key, when there is one and it is not revoked. Its secret is still to be
    /// compared.
    pub async fn find(&self, tenant: TenantId, key_id: &str) -> Result<Option<ApiKey>, ReadError> {
        if let Some(key) = self.memory().get(tenant, key_id) {
            return Ok(Some(key));
        }
        let since = Instant::now();
        let mut snapshot = self.reader.snapshot(tenant, &Want::now()).await?;
        let found = snapshot
            .read(async |conn| view::find_key(conn, key_id).await)
            .await?;
        let live = found.filter(|key| key.revoked_at.is_none());
        if let Some(key) = &live {
            let key = key.clone();
            self.memory().insert(Known { key, since });
        }
        Ok(live)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.memory.lock();
        memory.expect("nothing panics while it holds the keys")
    }
}

impl Memory {
    fn get(&mut self, tenant: TenantId, key_id: &str) -> Option<ApiKey> {
        self.forget_what_changed();
        let known = self.known.get(&tenant)?.get(key_id)?;
        known.is_fresh().then(|| known.key.clone())
    }

    fn insert(&mut self, known: Known) {
        if self.count >= CAPACITY {
            self.known.retain(|_, keys| {
                keys.retain(|_, known| known.is_fresh());
                !keys.is_empty()
            });
            self.count = self.known.values().map(HashMap::len).sum();
        }
        if self.count >= CAPACITY {
            self.clear();
        }
        let keys = self.known.entry(known.key.tenant_id).or_default();
        if keys.insert(known.key.key_id.clone(), known).is_none() {
            self.count += 1;
        }
    }

    fn forget_what_changed(&mut self) {
        loop {
            match self.wakes.try_recv().as_deref() {
                Ok(Wake::Committed {
                    projection,
                    tenants,
                }) if projection == crate::NAME => {
                    for tenant in tenants {
                        let forgotten = self.known.remove(tenant);
                        self.count -= forgotten.map_or(0, |keys| keys.len());
                    }
                }
                Ok(Wake::Committed { .. }) => {}
                Ok(Wake::Unknown) | Err(TryRecvError::Lagged(_)) => self.clear(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn clear(&mut self) {
        self.known.clear();
        self.count = 0;
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEY_TTL
    }
}
