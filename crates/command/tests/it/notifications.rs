use compline_api::{
    command::MarkReadRequest,
    query::{Consistency, KeyRole, ListNotificationsRequest, ListNotificationsResponse, Position},
};
use compline_event::{Event, Topic, activity_events::NotificationRaised};
use tonic::Code;

use crate::street::{Street, by, request_id};

fn raised(id: &str) -> Event {
    Event::NotificationRaised(NotificationRaised {
        notification_id: id.into(),
        title: format!("title of {id}"),
        ..Default::default()
    })
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
    street.tell(&admin, raised("n1")).await;
    let token = street.tell(&admin, raised("n2")).await;
    assert_eq!(list(&street, &auditor, token, false).await.unread_count, 2);

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
