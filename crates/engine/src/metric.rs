//! Names and help of what the engine frame counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub const OUTPUTS: &str = "compline_engine_outputs_total";
pub const RELAYED: &str = "compline_engine_relayed_total";
pub const RELAY_SECONDS: &str = "compline_engine_relay_round_seconds";
pub const RELAY_LEADS: &str = "compline_engine_relay_leads";
pub const ORDER_SECONDS: &str = "compline_engine_order_wait_seconds";
pub const FOUND: &str = "compline_engine_found_outputs_total";
pub const NOT_TOLD_AGAIN: &str = "compline_engine_not_told_again_total";

pub fn describe() {
    describe_counter!(OUTPUTS, "Outputs decided and put into the outbox");
    describe_counter!(RELAYED, "Outputs that the log has acknowledged");
    describe_histogram!(
        RELAY_SECONDS,
        Unit::Seconds,
        "From reading the outbox to the last acknowledgement of what was read"
    );
    describe_gauge!(RELAY_LEADS, "1 while this process relays for the engine");
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
