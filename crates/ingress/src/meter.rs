//! The metrics of one door, looked up once.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::metric::{APPEND_SECONDS, BODY_BYTES, DELIVERIES, IN_FLIGHT};
use crate::refusal::Refusal;

#[derive(Debug)]
pub(crate) struct Meters {
    source: &'static str,
    pub(crate) appended: Counter,
    pub(crate) body_bytes: Counter,
    pub(crate) append_seconds: Histogram,
    in_flight: Gauge,
}

impl Meters {
    pub(crate) fn new(source: &'static str) -> Self {
        // What first appears with 1 was no rise to anyone who watches for rises.
        for outcome in Refusal::OUTCOMES {
            counter!(DELIVERIES, "source" => source, "outcome" => outcome).increment(0);
        }
        Self {
            source,
            appended: counter!(DELIVERIES, "source" => source, "outcome" => "appended"),
            body_bytes: counter!(BODY_BYTES, "source" => source),
            append_seconds: histogram!(APPEND_SECONDS, "source" => source),
            in_flight: gauge!(IN_FLIGHT, "source" => source),
        }
    }

    pub(crate) fn refused(&self, outcome: &'static str) {
        counter!(DELIVERIES, "source" => self.source, "outcome" => outcome).increment(1);
    }

    /// Counts a delivery as under way until the guard goes, also when its sender hangs up and the
    /// handler is dropped where it stands.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.increment(1.0);
        InFlight(&self.in_flight)
    }
}

pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
