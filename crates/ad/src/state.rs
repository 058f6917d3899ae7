//! What one batch of inputs needs to know, and what it changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use compline_event::{AdAccountId, Partition, TenantId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    change::ContentId,
    metric::Tally,
    pending::Pending,
    table::Table,
    watch::{self, Watch},
};

/// Meta retries for 36 hours; an equal content after that is another change.
pub(crate) const RETRIES: Duration = Duration::hours(36);

/// How long content ids are kept: longer than [`RETRIES`], because the clocks of
/// two ingresses differ.
pub(crate) const CONTENT_KEPT: Duration = Duration::hours(37);

pub(crate) type AdKey = (TenantId, AdAccountId, String);
pub(crate) type AccountKey = (TenantId, AdAccountId);
pub(crate) type RequestKey = (TenantId, AdAccountId, Uuid);
pub(crate) type SeenKey = (AdAccountId, OffsetDateTime, ContentId);

/// The engine's working set. Everything in it is as of after the locks were
/// taken; what is not in it is not stored either.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) watches: HashMap<AdAccountId, BTreeMap<TenantId, Watch>>,
    pub(crate) changed_watches: BTreeSet<AccountKey>,
    pub(crate) requests: Table<RequestKey, ()>,
    pub(crate) ads: Table<AdKey, Ad>,
    pub(crate) accounts: Table<AccountKey, Account>,
    pub(crate) seen: Table<SeenKey, Seen>,
    pub(crate) progress: BTreeMap<Partition, OffsetDateTime>,
    pub(crate) pending: Pending,
    pub(crate) tally: Tally,
}

/// What a tenant has been told of an ad object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ad {
    /// Empty while none was told.
    pub(crate) status: String,
    /// The newest `entry.time` that was applied.
    pub(crate) changed_at: OffsetDateTime,
    pub(crate) fetch_needed: bool,
    /// People were warned and not yet told that it is over.
    pub(crate) alarmed: bool,
    /// Open issues, oldest first.
    pub(crate) issues: Vec<[u8; 16]>,
}

/// What a tenant has been told of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) status: i32,
    pub(crate) disable_reason: i32,
    pub(crate) changed_at: OffsetDateTime,
}

/// When a content id was recorded, and in which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) recorded_at: OffsetDateTime,
    pub(crate) partition: Partition,
}

impl State {
    pub(crate) fn tenants_at(&self, account: &AdAccountId, at: OffsetDateTime) -> Vec<TenantId> {
        let watches = self.watches.get(account);
        watches.map_or_else(Vec::new, |watches| watch::tenants_at(watches, at))
    }

    /// Without those who connected later.
    pub(crate) fn watching_at(&self, account: &AdAccountId, at: OffsetDateTime) -> Vec<TenantId> {
        let watches = self.watches.get(account);
        watches.map_or_else(Vec::new, |watches| watch::watching_at(watches, at))
    }

    pub(crate) fn watch(&self, tenant: TenantId, account: &AdAccountId) -> Watch {
        self.watches
            .get(account)
            .and_then(|watches| watches.get(&tenant))
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn put_watch(&mut self, tenant: TenantId, account: &AdAccountId, watch: Watch) {
        let watches = self.watches.entry(account.clone()).or_default();
        watches.insert(tenant, watch);
        self.changed_watches.insert((tenant, account.clone()));
    }

    /// Whether the same content came within the time of Meta's retries. The age
    /// goes by `recorded_at`, so that a second fold decides the same.
    pub(crate) fn is_duplicate(&mut self, key: SeenKey, now: Seen) -> bool {
        let before = self.seen.get(&key).copied();
        let repeated =
            before.is_some_and(|before| (now.recorded_at - before.recorded_at).abs() <= RETRIES);
        if !repeated {
            self.seen.put(key, now);
        }
        repeated
    }

    /// `partition` of webhook.meta is folded up to a record of this time.
    pub(crate) fn advance(&mut self, partition: Partition, recorded_at: OffsetDateTime) {
        let reached = self.progress.entry(partition).or_insert(recorded_at);
        *reached = (*reached).max(recorded_at);
    }
}
