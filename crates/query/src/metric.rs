//! Names and help of what the query service counts.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

pub const WATCHERS: &str = "compline_query_watchers";
pub const HUBS: &str = "compline_query_watch_hubs";
pub const HUB_READ_SECONDS: &str = "compline_query_watch_hub_read_seconds";
pub const RESTARTS: &str = "compline_query_watch_restarts_total";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_gauge!(WATCHERS, "Watches that are open now");
    describe_gauge!(HUBS, "Tenants that somebody watches now");
    describe_histogram!(
        HUB_READ_SECONDS,
        Unit::Seconds,
        "Time of the one read that serves all watchers of a tenant"
    );
    describe_counter!(
        RESTARTS,
        "Watches that started over because the client was too slow"
    );
}

/// Shows what has not happened yet as 0.
pub(crate) fn register() {
    gauge!(WATCHERS).increment(0.0);
    gauge!(HUBS).increment(0.0);
    counter!(RESTARTS).increment(0);
    let _shown = histogram!(HUB_READ_SECONDS);
}
