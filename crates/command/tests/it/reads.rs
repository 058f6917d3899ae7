//! The reads beside the commands: pages, filters, counters.

use compline_api::query::{ListAccountsRequest, ListActivitiesRequest, ListWebhookCountersRequest};
use compline_event::{
    Event,
    activity_events::{WebhookExpired, WebhookUnrecognized},
};
use tonic::Code;

use crate::street::{Street, by, connect};

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_skip() {
    let street = Street::open().await;
    let admin = street.tenant("Acme").await;
    for account in ["1", "2", "3", "4", "5"] {
        let made = street
            .accounts()
            .connect_account(by(&admin, connect(account, None)))
            .await;
        made.unwrap();
    }

    let mut request = ListAccountsRequest {
        page_size: 2,
        ..Default::default()
    };
    let mut names = Vec::new();
    loop {
        let page = street
            .tenancy()
            .list_accounts(by(&admin, request.clone()))
            .await;
        let page = page.unwrap().into_inner();
        names.extend(page.accounts.into_iter().map(|account| account.name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, [1, 2, 3, 4, 5].map(|n| format!("accounts/{n}")));

    let mut request = ListActivitiesRequest {
        page_size: 3,
        consistency: street.everything().await,
        ..Default::default()
    };
    let mut subjects = Vec::new();
    loop {
        let page = street
            .activity()
            .list_activities(by(&admin, request.clone()))
            .await;
        let page = page.unwrap().into_inner();
        subjects.extend(page.activities.into_iter().map(|activity| activity.subject));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(subjects.len(), 7, "five accounts, a tenant, a key");
    let newest: Vec<String> = subjects[..5].to_vec();
    assert_eq!(newest, [5, 4, 3, 2, 1].map(|n| format!("accounts/{n}")));

    request.subject = "accounts/3".into();
    let about = street
        .activity()
        .list_activities(by(&admin, request.clone()))
        .await;
    assert_eq!(about.unwrap().into_inner().activities.len(), 1);

    request.page_token = "nonsense".into();
    let refused = street
        .activity()
        .list_activities(by(&admin, request.clone()))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    request.page_token.clear();
    request.subject = "accounts/\0".into();
    let refused = street.activity().list_activities(by(&admin, request)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_changed_nothing_are_counted_for_their_tenant() {
    let street = Street::open().await;
    let (ours, theirs) = (street.tenant("Acme").await, street.tenant("Other").await);
    let unknown = Event::WebhookUnrecognized(WebhookUnrecognized {
        source: "meta".into(),
        object: "ad_account".into(),
        field: "with_new_feature".into(),
        problem: "a field that is not known".into(),
        ad_account_id: "1".into(),
    });
    street.tell(&ours, unknown.clone()).await;
    street.tell(&ours, unknown).await;
    let expired = Event::WebhookExpired(WebhookExpired {
        ad_account_id: "2".into(),
        changes: 40,
    });
    street.tell(&ours, expired).await;

    let request = ListWebhookCountersRequest {
        consistency: street.everything().await,
        ..Default::default()
    };
    let listed = street
        .activity()
        .list_webhook_counters(by(&ours, request.clone()))
        .await;
    let counters = listed.unwrap().into_inner().counters;
    let counts: Vec<(i64, &str)> = counters
        .iter()
        .map(|c| (c.count, c.last_account.as_str()))
        .collect();
    assert_eq!(counts, [(40, "accounts/2"), (2, "accounts/1")]);
    let listed = street
        .activity()
        .list_webhook_counters(by(&theirs, request))
        .await;
    assert!(listed.unwrap().into_inner().counters.is_empty());
}
