//! Who the tenants are, what they have connected, and who may enter: what the log
//! needs so that, with every table gone, the same callers are let in again.
//!
//! Folds the topics `tenant` and `account`; the query service reads its views, the
//! command service waits here for the verdict on what it appended.
//!
//! Invariants:
//! - a commanded event changes a row only when [`compline_event::command::verdict`]
//!   says so in log order, and what was said is kept in `request`;
//! - requests are known per entity: one request id on two entities is two
//!   requests, for between their partitions there is no order;
//! - no secret is here, only the SHA-256 of 256 random bits;
//! - a revoked key never enters again, whatever comes later;
//! - a tenant that has an admin key keeps one, unless an event says otherwise: of
//!   two that revoke the last two at once, the first in the log does.

#[cfg(feature = "write")]
mod apply;
mod keys;
pub mod resource;
mod row;
#[cfg(feature = "write")]
mod store;
pub mod view;

use compline_event::Topic;

pub use keys::{KEY_TTL, KeyStore};
pub use row::{Account, ApiKey, Outcome, Request, Role, Tenant};
#[cfg(feature = "write")]
pub use {apply::Rows, store::Tenancy};

/// As in `compline projector tenancy`.
pub const NAME: &str = "tenancy";

pub const TOPICS: &[Topic] = &[Topic::Tenant, Topic::Account];
