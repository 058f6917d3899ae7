//! The reading end of the street: gRPC services over the projections' views.
//!
//! One file per service. A call goes: who asks ([`caller`]) → what it must have
//! seen ([`consistency`]) → one snapshot under row level security → the view's
//! rows → the answer, with the position that it has seen.
//!
//! Invariants:
//! - the tenant comes from the caller's key alone; no request names one;
//! - nothing here writes, and nothing reads anything but Postgres;
//! - another tenant's resource and a missing one are the same NOT_FOUND;
//! - what a watcher holds in memory is bounded, however slow it is.

mod activity;
mod ad;
mod caller;
mod consistency;
mod keys;
pub mod metric;
mod tenancy;

pub use activity::ActivityApi;
pub use ad::AdApi;
pub use keys::TenantKeys;
pub use tenancy::TenancyApi;
