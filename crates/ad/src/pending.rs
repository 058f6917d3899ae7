//! Changes that wait: for a tenant, or for their turn.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use compline_event::{AdAccountId, EventId, Offset, Partition, RecordId, TenantId, Topic};
use time::OffsetDateTime;

use crate::watch;

/// Most waiting changes that one transaction applies. A connection that finds
/// more gives them to the tenant and leaves the applying to [`tick`], chunk by
/// chunk; what comes meanwhile queues up behind.
///
/// [`tick`]: compline_engine::Engine::tick
pub(crate) const AT_ONCE: usize = 2_000;

/// Per account in log order, as far as there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) account: AdAccountId,
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) ordinal: u32,
}

impl Place {
    pub(crate) fn record(&self) -> RecordId {
        RecordId {
            topic: Topic::WebhookMeta,
            partition: self.partition,
            offset: self.offset,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) recorded_at: OffsetDateTime,
    pub(crate) event_id: EventId,
    pub(crate) correlation_id: Option<EventId>,
    pub(crate) traceparent: String,
    pub(crate) body: Vec<u8>,
    /// Empty while it is nobody's.
    pub(crate) owed_to: Vec<TenantId>,
}

/// What a batch knows of the waiting changes, and did with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// Read from the store.
    pub(crate) stored: BTreeMap<Place, Waiting>,
    pub(crate) added: BTreeMap<Place, Waiting>,
    /// Applied; to be removed from the store.
    pub(crate) taken: BTreeSet<Place>,
    /// To be owed, in the store: what of the account has waited for it.
    pub(crate) claims: Vec<Claim>,
    /// Accounts of which the store holds more than was read.
    pub(crate) unread: HashSet<AdAccountId>,
    /// Accounts of which something is owed: what comes now waits behind it.
    pub(crate) queued: HashSet<AdAccountId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) account: AdAccountId,
    pub(crate) tenant: TenantId,
    pub(crate) connected_at: OffsetDateTime,
}

impl Pending {
    pub(crate) fn add(&mut self, place: Place, waiting: Waiting) {
        self.added.insert(place, waiting);
    }

    /// Gives `tenant` what has waited for somebody to connect `account`: what can
    /// be applied now is answered, in log order; else it is owed.
    pub(crate) fn connect(
        &mut self,
        account: &AdAccountId,
        tenant: TenantId,
        connected_at: OffsetDateTime,
    ) -> Vec<(Place, Waiting)> {
        let theirs = |(place, waiting): (&Place, &Waiting)| {
            let free = place.account == *account && waiting.owed_to.is_empty();
            (free && watch::is_in_time(waiting.recorded_at, connected_at)).then(|| place.clone())
        };
        if self.unread.contains(account) || self.queued.contains(account) {
            let added: Vec<Place> = self.added.iter().filter_map(theirs).collect();
            for place in added {
                if let Some(waiting) = self.added.get_mut(&place) {
                    waiting.owed_to.push(tenant);
                }
            }
            self.claims.push(Claim {
                account: account.clone(),
                tenant,
                connected_at,
            });
            self.queued.insert(account.clone());
            return Vec::new();
        }
        let stored: Vec<Place> = self.stored.iter().filter_map(theirs).collect();
        let added: Vec<Place> = self.added.iter().filter_map(theirs).collect();
        let mut due = BTreeMap::new();
        for place in stored {
            self.taken.insert(place.clone());
            due.extend(self.stored.remove_entry(&place));
        }
        for place in added {
            due.extend(self.added.remove_entry(&place));
        }
        due.into_iter().collect()
    }

    /// Everything that was read and is owed, in log order.
    pub(crate) fn take_owed(&mut self) -> Vec<(Place, Waiting)> {
        let stored = std::mem::take(&mut self.stored);
        let (owed, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = stored
            .into_iter()
            .partition(|(_, waiting)| !waiting.owed_to.is_empty());
        self.stored = rest;
        self.taken.extend(owed.keys().cloned());
        owed.into_iter().collect()
    }
}
