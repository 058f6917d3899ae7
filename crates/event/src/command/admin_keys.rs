//! What a fold keeps of keys, so that it knows a tenant's last admin key when a
//! command meets it.
//!
//! A key is a live admin key from the first command on its id, when that issues it to
//! an admin, until one revokes it: an id that was issued or revoked before is never
//! made one.

use std::collections::BTreeMap;

use super::Verdict;
use crate::{catalogue::Event, id::TenantId, tenant_events::Role};

/// Admin keys by tenant and id, and whether they are live. A fold needs those live
/// ones of each tenant whose keys it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminKeys(BTreeMap<(TenantId, String), bool>);

impl AdminKeys {
    /// For what a fold kept.
    pub fn insert_live(&mut self, tenant: TenantId, key_id: String) {
        self.0.insert((tenant, key_id), true);
    }

    /// What `verdict` comes to when `event` spares the last admin key. One that stays
    /// effective is carried out here. `current_version` is the key's.
    pub fn judge(
        &mut self,
        verdict: Verdict,
        tenant: TenantId,
        event: &Event,
        current_version: u64,
    ) -> Verdict {
        if verdict != Verdict::Effective {
            return verdict;
        }
        match event {
            Event::ApiKeyRevoked(e) if e.spares_last_admin && self.is_last(tenant, &e.key_id) => {
                return Verdict::LastAdmin;
            }
            Event::ApiKeyRevoked(e) => {
                if let Some(live) = self.0.get_mut(&(tenant, e.key_id.clone())) {
                    *live = false;
                }
            }
            Event::ApiKeyIssued(e) if current_version == 0 && e.role() == Role::Admin => {
                self.insert_live(tenant, e.key_id.clone());
            }
            _ => {}
        }
        verdict
    }

    fn is_last(&self, tenant: TenantId, key_id: &str) -> bool {
        let mut live = (self.0.iter())
            .filter(|((of, _), live)| *of == tenant && **live)
            .map(|((_, id), _)| id);
        live.next().is_some_and(|id| id == key_id) && live.next().is_none()
    }
}

/// Tenant and id, and whether it is live.
impl IntoIterator for AdminKeys {
    type Item = ((TenantId, String), bool);
    type IntoIter = std::collections::btree_map::IntoIter<(TenantId, String), bool>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::tenant_events::{ApiKeyIssued, ApiKeyRevoked};

    const TENANT: TenantId = TenantId::new(Uuid::from_u128(7));

    fn issue(key_id: &str, role: Role) -> Event {
        Event::ApiKeyIssued(ApiKeyIssued {
            key_id: key_id.into(),
            role: role.into(),
            ..Default::default()
        })
    }

    fn revoke(key_id: &str, spares_last_admin: bool) -> Event {
        Event::ApiKeyRevoked(ApiKeyRevoked {
            key_id: key_id.into(),
            spares_last_admin,
            ..Default::default()
        })
    }

    #[test]
    fn the_last_live_admin_key_is_spared_when_the_event_asks_for_it() {
        use Verdict::{Effective, LastAdmin, Stale};
        let mut keys = AdminKeys::default();
        for (event, version, decided, verdict) in [
            (issue("a", Role::Admin), 0, Effective, Effective),
            (revoke("a", true), 1, Effective, LastAdmin),
            (issue("s", Role::Standard), 0, Effective, Effective),
            (issue("s", Role::Admin), 1, Effective, Effective),
            (revoke("a", true), 1, Effective, LastAdmin),
            (issue("b", Role::Admin), 0, Stale, Stale),
            (revoke("a", true), 1, Effective, LastAdmin),
            (issue("b", Role::Admin), 0, Effective, Effective),
            (revoke("s", true), 2, Effective, Effective),
            (revoke("a", true), 1, Effective, Effective),
            (revoke("a", true), 2, Effective, Effective),
            (revoke("b", true), 1, Effective, LastAdmin),
            (revoke("b", false), 1, Effective, Effective),
        ] {
            assert_eq!(
                keys.judge(decided, TENANT, &event, version),
                verdict,
                "{event:?}"
            );
        }
    }

    #[test]
    fn another_tenants_admins_do_not_count() {
        let mut keys = AdminKeys::default();
        keys.insert_live(TENANT, "a".into());
        keys.insert_live(TenantId::OPERATOR, "b".into());
        let judged = keys.judge(Verdict::Effective, TENANT, &revoke("a", true), 1);
        assert_eq!(judged, Verdict::LastAdmin);
    }
}
