//! The rows, as the fold keeps them and the views return them.

pub(crate) mod sql;

use compline_event::{AdAccountId, RecordId, TenantId, tenant_events};
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub tenant_id: TenantId,
    pub display_name: String,
    pub created_at: OffsetDateTime,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub tenant_id: TenantId,
    pub ad_account_id: AdAccountId,
    pub display_name: String,
    pub connected: bool,
    /// When it was last connected.
    pub connected_at: Option<OffsetDateTime>,
    /// Meta's number; 0 when unknown.
    pub status: i32,
    pub disable_reason: i32,
    pub status_changed_at: Option<OffsetDateTime>,
    /// 0 when only an engine has spoken of it.
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub tenant_id: TenantId,
    pub key_id: String,
    pub display_name: String,
    pub role: Role,
    pub secret_sha256: [u8; 32],
    /// Absent when it was revoked before it was issued.
    pub issued_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    pub version: u64,
}

/// What a key's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Admin,
    Auditor,
    Standard,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub tenant_id: TenantId,
    /// The resource name of what it changes.
    pub entity: String,
    pub request_id: Uuid,
    pub event_type: String,
    pub outcome: Outcome,
    /// The entity's version after it.
    pub version: u64,
    /// The first record that carried it.
    pub at: RecordId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Effective,
    /// Another version than the expected one: nothing changed.
    Stale,
    /// The tenant's last live admin key, which the command spares: nothing changed.
    LastAdmin,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Auditor => "auditor",
            Role::Standard => "standard",
        }
    }

    pub const fn to_event(self) -> tenant_events::Role {
        match self {
            Role::Admin => tenant_events::Role::Admin,
            Role::Auditor => tenant_events::Role::Auditor,
            Role::Standard => tenant_events::Role::Standard,
        }
    }
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Effective => "effective",
            Outcome::Stale => "stale",
            Outcome::LastAdmin => "last_admin",
        }
    }
}
