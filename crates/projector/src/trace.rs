//! The spans of events whose traces are kept: from the read of the rows they change
//! to the commit of the transaction that they share.
//!
//! The envelope names the span that made an event, so what follows from it hangs
//! below, in whichever process. An engine's outputs copy what the envelope says: it is
//! made to name the event's own span before the fold sees it. What is not traced costs
//! a look at an empty string.

use compline_event::Recorded;
use compline_readmodel::Place;
use compline_runtime::telemetry::trace_context::{follow, traceparent};
use tracing::{Span, field};

/// Most spans of one transaction; more would cost more than they tell.
const MOST: usize = 200;

/// The spans of one try. Dropped, they end.
#[derive(Debug, Default)]
pub(crate) struct Traced(Vec<Span>);

impl Traced {
    /// Begins the spans of `events`, which are all of `place`'s projection. `doing`
    /// is what the fold does to an event.
    pub(crate) fn begin(&mut self, doing: &str, place: &Place, events: &mut [Recorded]) {
        let batch = events.len();
        for event in events {
            if self.0.len() == MOST {
                return;
            }
            let parent = &event.envelope.traceparent;
            if let Some(span) = follow(parent, || span(doing, place, event, batch)) {
                event.envelope.traceparent = traceparent(&span).unwrap_or_default();
                self.0.push(span);
            }
        }
    }

    /// Nothing of it was written.
    pub(crate) fn rolled_back(&self) {
        for span in &self.0 {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", "rolled back");
        }
    }
}

fn span(doing: &str, place: &Place, event: &Recorded, batch: usize) -> Span {
    tracing::info_span!(
        "event",
        otel.name = format!("{doing} {}", place.projection),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        messaging.system = "kafka",
        messaging.destination.name = event.at.topic.as_str(),
        messaging.destination.partition.id = event.at.partition.0,
        messaging.kafka.offset = event.at.offset.0,
        event_id = %event.envelope.event_id,
        event_type = event.envelope.event.type_name(),
        generation = place.generation,
        batch,
    )
}
