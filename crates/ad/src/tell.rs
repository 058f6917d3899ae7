//! How outputs are made.

use compline_engine::{Output, Outputs};
use compline_event::{
    Event, EventId, RecordId, Source, TenantId,
    activity_events::{ActivityRecorded, NotificationRaised},
    timestamp,
};
use time::OffsetDateTime;

use crate::{ACTOR, NAME, notice::Notice};

/// One change of a raw webhook: what outputs are about, whichever input brought
/// them out.
#[derive(Clone, Debug)]
pub(crate) struct Cause<'c> {
    pub(crate) record: RecordId,
    pub(crate) ordinal: u32,
    pub(crate) event_id: EventId,
    pub(crate) correlation_id: Option<EventId>,
    pub(crate) traceparent: &'c str,
}

/// Tells one tenant what followed from one change; each type of event at most
/// once.
pub(crate) struct Teller<'t> {
    pub(crate) cause: &'t Cause<'t>,
    pub(crate) tenant: TenantId,
    /// By the sender's clock.
    pub(crate) at: OffsetDateTime,
    pub(crate) outputs: &'t mut Outputs,
}

impl Teller<'_> {
    pub(crate) fn tell(&mut self, event: Event) {
        let slot = self.slot(event.type_name());
        self.outputs.push(Output {
            about: self.cause.record,
            slot,
            tenant: self.tenant,
            occurred_at: self.at,
            source: Source::MetaWebhook,
            actor: ACTOR.to_owned(),
            causation_id: self.cause.event_id,
            correlation_id: Some(self.cause.correlation_id.unwrap_or(self.cause.event_id)),
            traceparent: self.cause.traceparent.to_owned(),
            event,
        });
    }

    pub(crate) fn record(&mut self, kind: &str, subject: &str, summary: String) {
        self.tell(Event::ActivityRecorded(ActivityRecorded {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            summary,
            happened_at: Some(timestamp::to_proto(self.at)),
        }));
    }

    /// The notification's id is that of its event: one cause, one notification.
    pub(crate) fn notify(&mut self, subject: &str, notice: Notice) {
        let slot = self.slot("NotificationRaised");
        let notification_id = EventId::derived(NAME, self.cause.record, &slot).to_string();
        self.tell(Event::NotificationRaised(NotificationRaised {
            notification_id,
            severity: notice.severity.into(),
            title: notice.title,
            body: notice.body,
            subject: subject.to_owned(),
            raised_at: Some(timestamp::to_proto(self.at)),
        }));
    }

    fn slot(&self, event_type: &str) -> String {
        format!("{}/{}/{event_type}", self.tenant, self.cause.ordinal)
    }
}
