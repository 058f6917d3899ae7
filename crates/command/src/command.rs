//! One command: the event that it becomes, and where that stands in the log.

use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Source, TenantId, Topic, envelope_proto::Precondition,
    partition::partition_of,
};
use compline_eventlog::TopicSpec;
use compline_readmodel::Snapshot;
use compline_runtime::telemetry::trace_context::current_traceparent;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::commands::Done;

/// One event to be, and what the projection will know it by.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) tenant: TenantId,
    pub(crate) actor: String,
    /// The resource name of what it changes.
    pub(crate) entity: String,
    pub(crate) request_id: Uuid,
    pub(crate) expected_version: Option<u64>,
    pub(crate) event: Event,
}

/// What the log is given of a command.
pub(crate) type Record = (Topic, Bytes, Envelope);

impl Command {
    pub(crate) fn record(&self, now: OffsetDateTime) -> Record {
        let (topic, key) = self.destination();
        (topic, key, self.envelope(now))
    }

    fn envelope(&self, now: OffsetDateTime) -> Envelope {
        Envelope {
            event_id: self.event_id(),
            tenant: Some(self.tenant),
            occurred_at: now,
            recorded_at: now,
            source: Source::User,
            actor: self.actor.clone(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: current_traceparent().unwrap_or_default(),
            event: self.event.clone(),
        }
    }

    /// Nothing is appended, so the request id is as new as before.
    pub(crate) fn unchanged(&self, snapshot: Snapshot) -> Done {
        let (topic, key) = self.destination();
        let partition = partition_of(&key, TopicSpec::of(topic).partitions);
        let seen = snapshot.seen().position.positions();
        let token = seen.filter(|at| (at.topic, at.partition) == (topic, partition));
        Done {
            token: token.collect(),
            snapshot,
            unchanged: true,
        }
    }

    /// Request ids are known per entity, so the id of the event is of both: the
    /// same request id on two entities is two events.
    fn event_id(&self) -> EventId {
        let of_entity = Uuid::new_v5(&self.request_id, self.entity.as_bytes());
        EventId::of_request(self.tenant, of_entity, 0)
    }

    fn destination(&self) -> (Topic, Bytes) {
        let destination = self.event.destination(self.tenant);
        destination.expect("only raw webhooks have none")
    }
}

pub(crate) fn precondition(
    request_id: Uuid,
    expected_version: Option<u64>,
) -> Option<Precondition> {
    Some(Precondition {
        request_id: Bytes::copy_from_slice(request_id.as_bytes()),
        expected_version,
    })
}
