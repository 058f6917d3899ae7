//! Telling what happened, as it would stand in the log.
//!
//! Ids, times, places and numbers follow from what was told before and from
//! nothing else, so a test sees the same ones each time.

use std::collections::BTreeMap;

use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, Stamp, TenantId,
    Topic, partition::partition_of,
};
use compline_eventlog::TopicSpec;
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

/// The tenant of that number; 0 is the operator.
pub const fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number))
}

/// Between two records of a partition, so that a law can put repeats in between.
pub(crate) const OFFSET_STEP: i64 = 100;

/// A history in the making. It begins at noon of 2026-01-01, UTC, with tenant 1.
#[derive(Clone, Debug)]
pub struct Story {
    now: OffsetDateTime,
    tenant: TenantId,
    told: u128,
    /// How far apart records stand.
    step: i64,
    ends: BTreeMap<(Topic, Partition), i64>,
    numbers: BTreeMap<(Topic, Partition), u64>,
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

impl Story {
    pub const BEGINS: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

    pub fn new() -> Self {
        Self {
            now: Self::BEGINS,
            tenant: tenant(1),
            told: 0,
            step: 1,
            ends: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// With room between the offsets.
    pub(crate) fn sparse() -> Self {
        Self {
            step: OFFSET_STEP,
            ..Self::new()
        }
    }

    /// Whose events are told from now on.
    pub fn of(&mut self, tenant: TenantId) -> &mut Self {
        self.tenant = tenant;
        self
    }

    /// Lets time go by.
    pub fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Puts an event where the catalogue says it stands. What only the ad engine
    /// tells has its stamp.
    ///
    /// # Panics
    /// For raw webhooks, whose place is not in the catalogue: [`Story::hear`].
    pub fn tell(&mut self, event: Event) -> Recorded {
        let (topic, key) = event
            .destination(self.tenant)
            .expect("the catalogue says where it stands");
        let source = match is_commanded(&event) {
            true => Source::User,
            false => Source::Engine("ad".to_owned()),
        };
        let tenant = Some(self.tenant);
        self.put(topic, key, tenant, source, event)
    }

    /// A raw webhook, which has no tenant yet.
    pub fn hear(&mut self, topic: Topic, key: impl Into<Bytes>, event: Event) -> Recorded {
        let source = match topic {
            Topic::WebhookStripe => Source::Stripe,
            _ => Source::MetaWebhook,
        };
        self.put(topic, key.into(), None, source, event)
    }

    fn put(
        &mut self,
        topic: Topic,
        key: Bytes,
        tenant: Option<TenantId>,
        source: Source,
        event: Event,
    ) -> Recorded {
        let partition = partition_of(&key, TopicSpec::of(topic).partitions);
        let end = self.ends.entry((topic, partition)).or_default();
        let at = RecordId {
            topic,
            partition,
            offset: Offset(*end),
        };
        *end += self.step;
        self.told += 1;
        let (actor, stamp) = match &source {
            Source::Engine(producer) => {
                let number = self.numbers.entry((topic, partition)).or_default();
                *number += 1;
                let stamp = Stamp {
                    producer: producer.clone(),
                    number: *number,
                };
                (source.to_string(), Some(stamp))
            }
            Source::User => ("k1".to_owned(), None),
            Source::MetaWebhook | Source::Stripe => (String::new(), None),
        };
        Recorded {
            at,
            key,
            envelope: Envelope {
                event_id: EventId::new(Uuid::from_u128(self.told)),
                tenant,
                occurred_at: self.now,
                recorded_at: self.now,
                source,
                actor,
                causation_id: None,
                correlation_id: None,
                stamp,
                traceparent: String::new(),
                event,
            },
        }
    }
}

/// Whether somebody asks for it through the command service.
fn is_commanded(event: &Event) -> bool {
    matches!(
        event,
        Event::OrganizationCreated(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::AccountConnected(_)
            | Event::AccountDisconnected(_)
            | Event::NotificationRead(_)
    )
}
