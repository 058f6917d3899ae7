//! Identities. An id is made once, at the edge, and never parsed again inside.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::position::RecordId;

/// UUID v5 name space of everything that compline derives. Never change it: the
/// ids of all derived events hang on it.
const NAMESPACE: Uuid = Uuid::from_u128(0x3f0c_7c5a_52d5_5b0e_9d0b_6b2f_0c6e_7a11);

/// An organization that pays for compline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Uuid);

impl TenantId {
    /// Whoever runs this installation. Facts that belong to no customer, such as
    /// a webhook that names no connected account, are theirs.
    pub const OPERATOR: TenantId = TenantId(Uuid::nil());

    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

impl FromStr for TenantId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The identity of a fact: v7 for a new one, v5 for one that follows from
/// another, so that deciding twice gives the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id of an engine's output: of the record that it is *about*, not of
    /// whatever triggered it, and a slot among that record's outputs.
    ///
    /// A slot says what the output is (whose, of which change, which type), for a
    /// count would depend on what was decided when: part of a webhook may be told
    /// at once and the rest a day later, when its account is connected.
    pub fn derived(engine: &str, about: RecordId, slot: &str) -> Self {
        let RecordId {
            topic,
            partition,
            offset,
        } = about;
        let name = format!("{engine}/{topic}/{partition}/{offset}/{slot}");
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The id of a commanded event: the same request of the same tenant is the
    /// same event, however often it is sent. `index` counts the events of one
    /// request.
    pub fn of_request(tenant: TenantId, request: Uuid, index: u32) -> Self {
        let name = format!("request/{tenant}/{request}/{index}");
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::Topic,
        position::{Offset, Partition},
    };

    #[test]
    fn derived_ids_are_stable_and_apart() {
        let about = RecordId {
            topic: Topic::WebhookMeta,
            partition: Partition(3),
            offset: Offset(42),
        };
        let id = EventId::derived("ad", about, "0");
        // Written down: a change of the derivation would append everything anew
        // on the next recovery.
        assert_eq!(id.to_string(), "4e7934d5-d98c-5c2c-bdc6-4e3c59e462b1");
        assert_ne!(id, EventId::derived("ad", about, "1"));
        assert_ne!(id, EventId::derived("score", about, "0"));
    }
}
