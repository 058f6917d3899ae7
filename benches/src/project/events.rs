//! The events that are projected: every ad goes through the statuses, in turns,
//! told by the engine `ad`.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Partition, Source, Stamp, TenantId, Topic,
    ad_events::{AdStatusChanged, Level},
    partition::partition_of,
    timestamp,
};
use compline_eventlog::{AppenderConfig, Log};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    ads::{ADS, Ad},
    house::partitions_of,
};

const STATUSES: [&str; 4] = ["ACTIVE", "DISAPPROVED", "PENDING_REVIEW", "PAUSED"];
const FIRST_AT: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

/// How many appends may wait for the log.
const IN_FLIGHT: usize = 10_000;

/// The n-th event.
pub(crate) struct Nth {
    pub(crate) tenant: TenantId,
    pub(crate) ad: Ad,
    pub(crate) old_status: &'static str,
    pub(crate) new_status: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) placements: [&'static str; 2],
    pub(crate) changed_at: OffsetDateTime,
    pub(crate) recorded_at: OffsetDateTime,
    pub(crate) event_id: Uuid,
}

impl Nth {
    pub(crate) fn new(number: usize) -> Self {
        let ad = Ad::nth(number);
        let turn = number / ADS;
        let after = Duration::milliseconds(i64::try_from(number).unwrap_or(0));
        Self {
            tenant: ad.tenant,
            ad,
            old_status: if turn == 0 {
                ""
            } else {
                STATUSES[(turn - 1) % 4]
            },
            new_status: STATUSES[turn % 4],
            reason: "Ads may not promote the sale or use of unsafe supplements",
            placements: ["facebook_feed", "instagram_stories"],
            changed_at: FIRST_AT + after,
            recorded_at: FIRST_AT + after + Duration::seconds(2),
            event_id: Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + number as u128),
        }
    }

    pub(super) fn event(&self) -> Event {
        Event::AdStatusChanged(AdStatusChanged {
            ad_account_id: self.ad.account.clone(),
            ad_id: self.ad.ad_id.clone(),
            level: Level::Ad.into(),
            old_status: self.old_status.to_owned(),
            new_status: self.new_status.to_owned(),
            reason: self.reason.to_owned(),
            placements: self.placements.map(str::to_owned).to_vec(),
            changed_at: Some(timestamp::to_proto(self.changed_at)),
            late: false,
            fetch_needed: false,
        })
    }
}

/// Which event stands where: `at[partition][offset]`.
#[derive(Default)]
pub(crate) struct Events {
    at: BTreeMap<i32, Vec<usize>>,
}

impl Events {
    /// Appends the first `count`.
    pub(crate) async fn append(log: &Log, count: usize) -> Result<Self> {
        let mut events = Self::default();
        events.append_more(log, count).await?;
        Ok(events)
    }

    /// Appends the next `count`.
    pub(crate) async fn append_more(&mut self, log: &Log, count: usize) -> Result<()> {
        let appender = log.appender(AppenderConfig {
            linger: std::time::Duration::from_millis(5),
            ..AppenderConfig::without_timeout()
        })?;
        let mut deliveries = Vec::with_capacity(IN_FLIGHT);
        let first = self.count();
        for number in first..first + count {
            let nth = Nth::new(number);
            let (key, partition) = place(&nth);
            let numbers = self.at.entry(partition.0).or_default();
            numbers.push(number);
            let stamp = Stamp {
                producer: "ad".to_owned(),
                number: numbers.len() as u64,
            };
            let envelope = envelope(&nth, stamp);
            deliveries.push(
                appender
                    .enqueue(Topic::Ad, Some(partition), key, &envelope)
                    .await?,
            );
            if deliveries.len() == IN_FLIGHT {
                for delivery in deliveries.drain(..) {
                    delivery.await?;
                }
            }
        }
        for delivery in deliveries {
            delivery.await?;
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.at.values().map(Vec::len).sum()
    }

    /// (number, partition, offset) of each, in the order in which they were appended.
    pub(crate) fn places(&self) -> Vec<(usize, i32, i64)> {
        let mut places: Vec<_> = self
            .at
            .iter()
            .flat_map(|(partition, numbers)| {
                let place = |(number, offset): (&usize, i64)| (*number, *partition, offset);
                numbers.iter().zip(0..).map(place)
            })
            .collect();
        places.sort_unstable();
        places
    }

    pub(super) fn partitions(&self) -> usize {
        self.at.len()
    }

    pub(crate) fn end_of(&self, partition: i32) -> i64 {
        self.at.get(&partition).map_or(0, |numbers| {
            i64::try_from(numbers.len()).unwrap_or(i64::MAX)
        })
    }

    /// The events' numbers at these offsets.
    pub(super) fn between(&self, partition: i32, from: i64, to: i64) -> &[usize] {
        let index = |offset: i64| usize::try_from(offset).expect("offsets are not negative");
        &self.at[&partition][index(from)..index(to)]
    }
}

fn place(nth: &Nth) -> (Bytes, Partition) {
    let (_, key) = nth.event().destination(nth.tenant).expect("an ad's topic");
    let partition = partition_of(&key, partitions_of(Topic::Ad));
    (key, partition)
}

fn envelope(nth: &Nth, stamp: Stamp) -> Envelope {
    Envelope {
        event_id: EventId::new(nth.event_id),
        tenant: Some(nth.tenant),
        occurred_at: nth.changed_at,
        recorded_at: nth.recorded_at,
        source: Source::MetaWebhook,
        actor: "engine:ad".to_owned(),
        causation_id: Some(EventId::new(nth.event_id)),
        correlation_id: None,
        stamp: Some(stamp),
        traceparent: String::new(),
        event: nth.event(),
    }
}
