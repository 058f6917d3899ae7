//! What a batch names: the set to lock, and the keys of what to read below.

use std::collections::{BTreeMap, BTreeSet};

use compline_event::{AdAccountId, Event, Recorded, TenantId, Topic, command::Commanded};
use time::OffsetDateTime;

use crate::{
    change::{Change, What},
    decide::{account_of, recorded_at},
    state::{RequestKey, SeenKey},
    wire,
};

#[derive(Default)]
pub(super) struct Named {
    /// The set to lock: of every change the account that it belongs to, of every
    /// connection its own.
    pub(super) accounts: BTreeSet<AdAccountId>,
    pub(super) ads: BTreeSet<(AdAccountId, String)>,
    /// Accounts whose own status is told.
    pub(super) statuses: BTreeSet<AdAccountId>,
    pub(super) seen: BTreeSet<SeenKey>,
    pub(super) requests: BTreeSet<RequestKey>,
    /// Who connects, or is owed something.
    pub(super) tenants: BTreeMap<AdAccountId, BTreeSet<TenantId>>,
    pub(super) connected: BTreeSet<AdAccountId>,
}

impl Named {
    pub(super) fn by(inputs: &[Recorded]) -> Self {
        let mut named = Self::default();
        for input in inputs {
            let envelope = &input.envelope;
            match &envelope.event {
                Event::WebhookReceived(webhook) if input.at.topic == Topic::WebhookMeta => {
                    named.body(&webhook.body, recorded_at(envelope));
                }
                event => {
                    let (Some(account), Some(tenant)) = (account_of(event), envelope.tenant) else {
                        continue;
                    };
                    if let Ok(Some(command)) = Commanded::of(envelope) {
                        let request = (tenant, account.clone(), command.request_id);
                        named.requests.insert(request);
                    }
                    if matches!(event, Event::AccountConnected(_)) {
                        named.connected.insert(account.clone());
                    }
                    let tenants = named.tenants.entry(account.clone()).or_default();
                    tenants.insert(tenant);
                    named.accounts.insert(account);
                }
            }
        }
        named
    }

    pub(super) fn body(&mut self, body: &[u8], recorded_at: OffsetDateTime) {
        for part in wire::parse(body, recorded_at) {
            match part.read {
                Ok(change) => self.change(change),
                // Only to know whom to tell.
                Err(unread) => self.accounts.extend(unread.account),
            }
        }
    }

    fn change(&mut self, change: Change<'_>) {
        let account = change.account;
        match change.what {
            What::Status { ad, .. } | What::Touched { ad, .. } | What::Issue { ad, .. } => {
                self.ads.insert((account.clone(), ad.id));
            }
            What::Account { .. } => {
                self.statuses.insert(account.clone());
            }
        }
        if let Some(content) = change.content {
            self.seen.insert((account.clone(), change.at, content));
        }
        self.accounts.insert(account);
    }

    pub(super) fn account_ids(&self) -> Vec<String> {
        self.accounts.iter().map(ToString::to_string).collect()
    }
}
