//! Names and help of what the engine frame counts. All have the label `engine`.
//!
//! Its input side is a projector's loop, and counted there as `engine:<name>`.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Labels: `topic`. The same from every process of an engine.
pub const OUTBOX: &str = "compline_engine_outbox_outputs";
pub const OUTPUTS: &str = "compline_engine_outputs_total";
pub const RELAYED: &str = "compline_engine_relayed_total";
pub const RELAY_SECONDS: &str = "compline_engine_relay_round_seconds";
pub const RELAY_LEADS: &str = "compline_engine_relay_leads";
pub const RELAY_RESTARTS: &str = "compline_engine_relay_restarts_total";
pub const ORDER_SECONDS: &str = "compline_engine_order_wait_seconds";
pub const FOUND: &str = "compline_engine_found_outputs_total";
pub const NOT_TOLD_AGAIN: &str = "compline_engine_not_told_again_total";

/// Gives every name its help. Called once the recorder is installed.
pub fn describe() {
    describe_gauge!(OUTBOX, "Outputs decided and not known to be in the log");
    describe_counter!(OUTPUTS, "Outputs decided and put into the outbox");
    describe_counter!(RELAYED, "Outputs that the log has acknowledged");
    describe_histogram!(
        RELAY_SECONDS,
        Unit::Seconds,
        "From reading the outbox to the last acknowledgement of what was read"
    );
    describe_gauge!(RELAY_LEADS, "1 while this process relays for the engine");
    describe_counter!(
        RELAY_RESTARTS,
        "Times that the relay gave up what it was doing and began anew"
    );
    describe_histogram!(
        ORDER_SECONDS,
        Unit::Seconds,
        "How long a batch waited for the inputs that are decided over first"
    );
    describe_counter!(
        FOUND,
        "Outputs found in the log that the database did not know"
    );
    describe_counter!(
        NOT_TOLD_AGAIN,
        "Outputs decided again that the log held already"
    );
}

/// Shows what has not happened yet as 0: what first appears with 1 was no rise to
/// anyone who watches for rises.
pub(crate) fn register(engine: &'static str) {
    for name in [OUTPUTS, RELAYED, RELAY_RESTARTS, FOUND, NOT_TOLD_AGAIN] {
        counter!(name, "engine" => engine).increment(0);
    }
    for name in [RELAY_SECONDS, ORDER_SECONDS] {
        let _shown = histogram!(name, "engine" => engine);
    }
    gauge!(RELAY_LEADS, "engine" => engine).set(0.0);
}
