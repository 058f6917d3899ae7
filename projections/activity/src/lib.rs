//! Who did what and when; what people should know of; and what was counted because
//! telling it each time would bury the rest.
//!
//! Folds the topics `activity`, `tenant` and `account`; the query service reads its
//! views.
//!
//! Invariants:
//! - the trail is insert-only and keyed by event, so a repeat adds nothing;
//! - a command stands in the trail only if it took effect: the fold keeps versions
//!   and request ids of its own and applies [`compline_event::command::verdict`],
//!   as every reader of the log does;
//! - text from outside is cut and cleaned before it becomes a row: one odd webhook
//!   must not park a tenant's trail;
//! - the number of unread notifications is a difference of two counters, never a
//!   count of rows.

#[cfg(feature = "write")]
mod apply;
mod row;
#[cfg(feature = "write")]
mod store;
#[cfg(feature = "write")]
mod told;
pub mod view;

use compline_event::Topic;

pub use row::{Activity, Notification, Severity, WebhookCounter};
#[cfg(feature = "write")]
pub use {apply::Rows, store::ActivityTrail};

/// As in `compline projector activity`.
pub const NAME: &str = "activity";

/// The problem under which `WebhookExpired` is counted.
pub const EXPIRED: &str = "nobody connected the account in time";

pub const TOPICS: &[Topic] = &[Topic::Activity, Topic::Tenant, Topic::Account];
