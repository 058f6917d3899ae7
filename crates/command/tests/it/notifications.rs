use compline_api::{
    command::MarkReadRequest,
    query::{Consistency, KeyRole, ListNotificationsRequest, ListNotificationsResponse, Position},
};
use compline_event::{
    Envelope, Event, EventId, Source, TenantId, Token, Topic, activity_events::NotificationRaised,
};
use compline_eventlog::AppenderConfig;
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

use crate::street::{Street, by, request_id, tenant_key};

/// Appends what an engine would, and says where it stands.
async fn raise(street: &Street, key: &str, id: &str) -> Token {
    let (tenant, at_key) = tenant_key(key);
    let now = OffsetDateTime::now_utc();
    let envelope = Envelope {
        event_id: EventId::new(Uuid::new_v4()),
        tenant: Some(TenantId::new(tenant)),
        occurred_at: now,
        recorded_at: now,
        source: Source::Engine("ad".into()),
        actor: "engine:ad".into(),
        causation_id: None,
        correlation_id: None,
        stamp: None,
        traceparent: String::new(),
        event: Event::NotificationRaised(NotificationRaised {
            notification_id: id.into(),
            title: format!("title of {id}"),
            ..Default::default()
        }),
    };
    let appender = street.log.appender(AppenderConfig::default()).unwrap();
    let at = appender
        .append(Topic::Activity, None, at_key, &envelope)
        .await
        .unwrap();
    let position = compline_event::Position {
        topic: at.topic,
        partition: at.partition,
        next_offset: at.offset.next(),
    };
    [position].into_iter().collect()
}

fn positions(token: &Token) -> Vec<Position> {
    let position = |at: compline_event::Position| Position {
        topic: at.topic.to_string(),
        partition: at.partition.0,
        next_offset: at.next_offset.0,
    };
    token.positions().map(position).collect()
}

async fn list(
    street: &Street,
    key: &str,
    token: Vec<Position>,
    unread_only: bool,
) -> ListNotificationsResponse {
    let request = ListNotificationsRequest {
        unread_only,
        consistency: Some(Consistency {
            min_position: token,
            ..Default::default()
        }),
        ..Default::default()
    };
    let listed = street.activity().list_notifications(by(key, request)).await;
    listed.unwrap().into_inner()
}

fn mark(id: &str) -> MarkReadRequest {
    MarkReadRequest {
        request_id: request_id(),
        name: format!("notifications/{id}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reader_reads_alone_and_twice_is_once() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    let auditor = street.key(&admin, KeyRole::Auditor).await;
    raise(&street, &admin, "n1").await;
    let raised = positions(&raise(&street, &admin, "n2").await);
    assert_eq!(list(&street, &auditor, raised, false).await.unread_count, 2);

    let marked = street
        .notifications()
        .mark_read(by(&auditor, mark("n1")))
        .await;
    let token = marked.unwrap().into_inner().token;
    let unread = list(&street, &auditor, token.clone(), true).await;
    assert_eq!(unread.unread_count, 1);
    let names: Vec<&str> = unread
        .notifications
        .iter()
        .map(|n| n.name.as_str())
        .collect();
    assert_eq!(names, ["notifications/n2"]);

    // Reading it again appends nothing.
    let records = street.records_of(Topic::Activity).await;
    let marked = street
        .notifications()
        .mark_read(by(&auditor, mark("n1")))
        .await;
    let token = marked.unwrap().into_inner().token;
    assert_eq!(street.records_of(Topic::Activity).await, records);
    assert_eq!(
        list(&street, &auditor, token.clone(), false)
            .await
            .unread_count,
        1
    );

    let of_admin = list(&street, &admin, token, false).await;
    assert_eq!(of_admin.unread_count, 2);
    assert!(of_admin.notifications.iter().all(|n| !n.read));

    let theirs = street.tenant("Other").await;
    for (key, id) in [(&admin, "never"), (&theirs, "n1")] {
        let refused = street.notifications().mark_read(by(key, mark(id))).await;
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    }
}
