//! The SQL: locks, what a batch reads after them, and what it writes.

mod load;
mod lock;
mod named;
mod tick;
mod write;

pub(crate) use load::load;
pub(crate) use tick::tick;
pub(crate) use write::store;

use compline_event::TenantId;

/// Tenants as one text, since arrays of arrays do not pass through UNNEST.
fn join(tenants: &[TenantId]) -> String {
    let ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn version_to_sql(version: u64) -> i64 {
    i64::try_from(version).expect("it counts records, whose offsets are i64")
}

fn ordinal_to_sql(ordinal: u32) -> i32 {
    i32::try_from(ordinal).expect("a body has at most CHANGES_MAX")
}
