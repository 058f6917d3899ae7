//! Who won: the rule by which every reader of the log decides whether a
//! commanded event takes effect.
//!
//! A command is appended before anyone knows whether it is still valid; two may
//! race. So the event carries its precondition, and each fold that keeps the
//! entity asks [`verdict`] in log order. Readers with the same log give the same
//! answer; the command service waits for the tenancy projection's.
//!
//! | request seen before | expected version | verdict |
//! |---|---|---|
//! | yes | any | `Repeated`: a retry, nothing changes |
//! | no | another | `Stale`: nothing changes but the request is remembered |
//! | no | absent, or the current one | `Effective` |
//! | no | the same, of a revocation that spares the last admin key and meets it ([`AdminKeys`]) | `LastAdmin`: as `Stale` |
//!
//! Requests are remembered per entity, because two entities may live on two
//! partitions, between which there is no order: the same id on another entity is
//! another request.

mod admin_keys;

use uuid::Uuid;

pub use admin_keys::AdminKeys;

use crate::{
    account::AdAccountId,
    catalogue::Event,
    envelope::{DecodeError, Envelope},
    envelope_proto::Precondition,
};

/// What a fold does with a commanded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Effective,
    Stale,
    /// Nobody could issue a key any more.
    LastAdmin,
    Repeated,
}

/// `current_version` counts the effective commands of the entity; 0 before the
/// first.
pub fn verdict(seen: bool, current_version: u64, expected_version: Option<u64>) -> Verdict {
    if seen {
        return Verdict::Repeated;
    }
    match expected_version {
        Some(expected) if expected != current_version => Verdict::Stale,
        _ => Verdict::Effective,
    }
}

/// What a commanded event asks of the fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commanded {
    /// The resource name of what it changes, such as `accounts/123456789`.
    pub entity: String,
    pub request_id: Uuid,
    pub expected_version: Option<u64>,
}

impl Commanded {
    /// `None` for an event that nobody commanded.
    ///
    /// # Errors
    /// A commanded event without its precondition, or one that names no entity.
    pub fn of(envelope: &Envelope) -> Result<Option<Self>, DecodeError> {
        let account = |id: &str| {
            let id: AdAccountId = id.parse().map_err(|_| DecodeError::Field {
                field: "ad_account_id",
            })?;
            Ok(format!("accounts/{id}"))
        };
        let (entity, precondition) = match &envelope.event {
            Event::AccountConnected(e) => (account(&e.ad_account_id)?, &e.precondition),
            Event::AccountDisconnected(e) => (account(&e.ad_account_id)?, &e.precondition),
            Event::OrganizationCreated(e) => (
                format!("tenants/{}", envelope.require_tenant()?),
                &e.precondition,
            ),
            Event::ApiKeyIssued(e) => (format!("apiKeys/{}", e.key_id), &e.precondition),
            Event::ApiKeyRevoked(e) => (format!("apiKeys/{}", e.key_id), &e.precondition),
            _ => return Ok(None),
        };
        let missing = || DecodeError::Field {
            field: "precondition",
        };
        let Precondition {
            request_id,
            expected_version,
        } = precondition.as_ref().ok_or_else(missing)?;
        Ok(Some(Self {
            entity,
            request_id: Uuid::from_slice(request_id).map_err(|_| missing())?,
            expected_version: *expected_version,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        assert_eq!(verdict(true, 3, Some(3)), Verdict::Repeated);
        assert_eq!(verdict(false, 3, None), Verdict::Effective);
        assert_eq!(verdict(false, 3, Some(3)), Verdict::Effective);
        assert_eq!(verdict(false, 3, Some(2)), Verdict::Stale);
        assert_eq!(verdict(false, 0, Some(1)), Verdict::Stale);
    }
}
