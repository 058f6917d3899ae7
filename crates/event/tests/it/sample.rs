//! One full sample of every event type: no field is left at its default, so that
//! a field that moves or vanishes shows in the golden bytes.

use compline_event::{
    Envelope, Event, EventId, Source, Stamp, TenantId, account_events::*, activity_events::*,
    ad_events::*, envelope_proto::Precondition, tenant_events::*, webhook_events::*,
};
use prost_types::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) fn envelope(event: Event) -> Envelope {
    let at = OffsetDateTime::from_unix_timestamp(1_703_500_800).unwrap();
    let id = |number| EventId::new(Uuid::from_u128(number));
    Envelope {
        event_id: id(1),
        tenant: Some(TenantId::new(Uuid::from_u128(2))),
        occurred_at: at,
        recorded_at: at + time::Duration::milliseconds(1_250),
        source: Source::MetaWebhook,
        actor: "engine:ad".into(),
        causation_id: Some(id(3)),
        correlation_id: Some(id(4)),
        stamp: Some(Stamp {
            producer: "ad".into(),
            number: 5,
        }),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        event,
    }
}

pub(crate) fn events() -> Vec<Event> {
    let account = || "123456789".to_owned();
    let ad = || "23849203842934".to_owned();
    let at = || {
        Some(Timestamp {
            seconds: 1_703_500_800,
            nanos: 0,
        })
    };
    let precondition = || {
        Some(Precondition {
            request_id: Uuid::from_u128(6).as_bytes().to_vec().into(),
            expected_version: Some(7),
        })
    };
    vec![
        Event::WebhookReceived(WebhookReceived {
            body: br#"{"entry":[]}"#.to_vec().into(),
            headers: vec![Header {
                name: "content-type".into(),
                value: b"application/json".to_vec().into(),
            }],
            remote_address: "192.0.2.1".into(),
        }),
        Event::AdStatusChanged(AdStatusChanged {
            ad_account_id: account(),
            ad_id: ad(),
            level: Level::Ad.into(),
            old_status: "ACTIVE".into(),
            new_status: "DISAPPROVED".into(),
            reason: "policy".into(),
            placements: vec!["facebook".into()],
            changed_at: at(),
            late: true,
            fetch_needed: true,
        }),
        Event::AdIssueRaised(AdIssueRaised {
            ad_account_id: account(),
            ad_id: ad(),
            level: Level::AdSet.into(),
            error_code: "1815869".into(),
            summary: "summary".into(),
            message: "message".into(),
            raised_at: at(),
        }),
        Event::AccountConnected(AccountConnected {
            ad_account_id: account(),
            display_name: "Shop".into(),
            precondition: precondition(),
        }),
        Event::AccountDisconnected(AccountDisconnected {
            ad_account_id: account(),
            precondition: precondition(),
        }),
        Event::AccountStatusChanged(AccountStatusChanged {
            ad_account_id: account(),
            old_status: 1,
            new_status: 2,
            disable_reason: 3,
            changed_at: at(),
            late: true,
        }),
        Event::OrganizationCreated(OrganizationCreated {
            display_name: "Acme".into(),
            precondition: precondition(),
        }),
        Event::ApiKeyIssued(ApiKeyIssued {
            key_id: "k1".into(),
            display_name: "CI".into(),
            secret_sha256: vec![8; 32].into(),
            role: Role::Auditor.into(),
            precondition: precondition(),
        }),
        Event::ApiKeyRevoked(ApiKeyRevoked {
            key_id: "k1".into(),
            precondition: precondition(),
            spares_last_admin: true,
        }),
        Event::ActivityRecorded(ActivityRecorded {
            kind: "ad.status_changed".into(),
            subject: "ads/23849203842934".into(),
            summary: "summary".into(),
            happened_at: at(),
        }),
        Event::NotificationRaised(NotificationRaised {
            notification_id: "n1".into(),
            severity: Severity::Critical.into(),
            title: "title".into(),
            body: "body".into(),
            subject: "ads/23849203842934".into(),
            raised_at: at(),
        }),
        Event::NotificationRead(NotificationRead {
            notification_id: "n1".into(),
            reader: "k1".into(),
            read_at: at(),
        }),
        Event::WebhookUnrecognized(WebhookUnrecognized {
            source: "meta_webhook".into(),
            object: "ad_account".into(),
            field: "new_field".into(),
            problem: "problem".into(),
            ad_account_id: account(),
        }),
        Event::WebhookExpired(WebhookExpired {
            ad_account_id: account(),
            changes: 9,
        }),
    ]
}
