//! Events as the ad engine appends them.

use bytes::Bytes;
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, TenantId, Topic,
    ad_events::{AdIssueRaised, AdStatusChanged, Level},
    timestamp::to_proto,
};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

pub(crate) fn tenant(number: u8) -> TenantId {
    TenantId::new(Uuid::from_u128(u128::from(number) + 1))
}

/// What an event says, before it has a place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) tenant: u8,
    pub(crate) ad: u8,
    pub(crate) event: Event,
}

impl Said {
    /// An ad's events stand on one partition.
    pub(crate) fn partition(&self) -> Partition {
        Partition(i32::from((self.ad ^ self.tenant) % 2))
    }

    pub(crate) fn at(self, offset: i64) -> Recorded {
        let partition = self.partition();
        let id = u128::from(offset.unsigned_abs()) << 8 | u128::from(partition.0.unsigned_abs());
        Recorded {
            at: RecordId {
                topic: Topic::Ad,
                partition,
                offset: Offset(offset),
            },
            key: Bytes::from(format!("{}/{}", tenant(self.tenant), self.ad)),
            envelope: Envelope {
                event_id: EventId::new(Uuid::from_u128(id)),
                tenant: Some(tenant(self.tenant)),
                occurred_at: NOON,
                recorded_at: NOON + Duration::seconds(offset) + Duration::nanoseconds(1_999),
                source: Source::MetaWebhook,
                actor: String::new(),
                causation_id: None,
                correlation_id: None,
                stamp: None,
                traceparent: String::new(),
                event: self.event,
            },
        }
    }
}

/// Two tenants, four ads each, of one account; what Meta might say of them.
pub(crate) fn said() -> impl Strategy<Value = Said> {
    let status = prop::sample::select(vec!["", "ACTIVE", "PAUSED", "WITH_ISSUES", "ÄLIEN"]);
    let code = prop::sample::select(vec!["1", "2", "2\"\\"]);
    let placements = prop::collection::vec("[a\"\\\\,{} ]{0,3}", 0..3);
    let minute = -3..3_i64;
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    let parts = (0..2_u8, 0..4_u8, status, code, placements, minute, flags);
    parts.prop_map(
        |(tenant, ad, status, code, placements, minute, (is_issue, late, fetch_needed))| {
            // Nanoseconds that Postgres does not keep.
            let at = NOON + Duration::minutes(minute) + Duration::nanoseconds(minute * 400);
            let event = match is_issue {
                true => Event::AdIssueRaised(AdIssueRaised {
                    ad_account_id: "123".into(),
                    ad_id: ad.to_string(),
                    level: Level::AdSet.into(),
                    error_code: code.into(),
                    summary: format!("{minute}"),
                    message: String::new(),
                    raised_at: Some(to_proto(at)),
                }),
                false => Event::AdStatusChanged(AdStatusChanged {
                    ad_account_id: "123".into(),
                    ad_id: ad.to_string(),
                    level: Level::Unspecified.into(),
                    old_status: String::new(),
                    new_status: status.into(),
                    reason: String::new(),
                    placements,
                    changed_at: Some(to_proto(at)),
                    late,
                    fetch_needed,
                }),
            };
            Said { tenant, ad, event }
        },
    )
}
