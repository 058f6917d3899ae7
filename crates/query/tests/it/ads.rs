//! One ad, its history, and the counts; and who may see them.

use compline_api::query::{
    AdCount, AdLevel, CountAdsRequest, GetAdRequest, ListAdHistoryRequest, ListAdsRequest,
    WatchAdsRequest,
};
use compline_event::TenantId;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::house::{House, fields, issue, status, tenant};

fn get(name: &str) -> GetAdRequest {
    GetAdRequest {
        name: name.into(),
        consistency: None,
    }
}

fn history(parent: &str) -> ListAdHistoryRequest {
    ListAdHistoryRequest {
        parent: parent.into(),
        ..ListAdHistoryRequest::default()
    }
}

#[tokio::test]
async fn an_ad_reads_as_it_was_told() {
    let mut house = House::open().await;
    let events = vec![
        status("1", 0, "ACTIVE"),
        status("1", 1, "WITH_ISSUES"),
        issue("1", "1359188"),
        issue("1", "17"),
        issue("2", "17"),
    ];
    let seen = house.told(tenant(0), events).await;
    let mut client = house.client(tenant(0));

    let answer = client.get_ad(get("ads/1")).await.unwrap().into_inner();
    let ad = answer.ad.unwrap();
    assert_eq!(ad.name, "ads/1");
    assert_eq!(ad.ad_account_id, "123");
    assert_eq!(ad.level(), AdLevel::Ad);
    assert_eq!(ad.status, "WITH_ISSUES");
    assert_eq!(ad.version, 4);
    let codes: Vec<&str> = ad
        .open_issues
        .iter()
        .map(|issue| issue.error_code.as_str())
        .collect();
    assert_eq!(codes, ["1359188", "17"]);
    let position = answer.seen.unwrap().position;
    for at in seen.positions() {
        let told = position
            .iter()
            .find(|position| position.partition == at.partition.0);
        assert_eq!(told.unwrap().next_offset, at.next_offset.0);
    }

    let only_issues = client.get_ad(get("ads/2")).await.unwrap().into_inner();
    let only_issues = only_issues.ad.unwrap();
    assert_eq!(only_issues.status, "");
    assert_eq!(only_issues.status_time, None);

    let answer = client.list_ad_history(history("ads/1")).await.unwrap();
    let changes = answer.into_inner().changes;
    let statuses: Vec<&str> = changes
        .iter()
        .map(|change| change.new_status.as_str())
        .collect();
    assert_eq!(statuses, ["WITH_ISSUES", "ACTIVE"], "newest first");
    let none = client.list_ad_history(history("ads/2")).await.unwrap();
    assert!(none.into_inner().changes.is_empty());

    let counts = client.count_ads(CountAdsRequest::default()).await.unwrap();
    let count = |status: &str| AdCount {
        ad_account_id: "123".into(),
        status: status.into(),
        ads: 1,
    };
    assert_eq!(
        counts.into_inner().counts,
        [count(""), count("WITH_ISSUES")]
    );
    let of_another = CountAdsRequest {
        ad_account_id: "act_124".into(),
        consistency: None,
    };
    let counts = client.count_ads(of_another).await.unwrap();
    assert!(counts.into_inner().counts.is_empty());
}

#[tokio::test]
async fn another_tenants_ad_is_as_a_missing_one() {
    let mut house = House::open().await;
    house.told(tenant(0), vec![status("1", 0, "ACTIVE")]).await;

    let mut own = house.client(tenant(0));
    let mut other = house.client(tenant(1));
    own.get_ad(get("ads/1")).await.unwrap();
    own.list_ad_history(history("ads/1")).await.unwrap();

    let theirs = other.get_ad(get("ads/1")).await.unwrap_err();
    let missing = own.get_ad(get("ads/9")).await.unwrap_err();
    assert_eq!(theirs.code(), Code::NotFound);
    assert_eq!(missing.code(), Code::NotFound);
    let details = theirs.get_error_details();
    assert_eq!(details.resource_info().unwrap().resource_name, "ads/1");
    assert_eq!(
        theirs.message().replace('1', "9"),
        missing.message(),
        "nothing tells them apart"
    );
    let theirs = other.list_ad_history(history("ads/1")).await.unwrap_err();
    assert_eq!(theirs.code(), Code::NotFound);
    let listed = other.list_ads(ListAdsRequest::default()).await.unwrap();
    assert!(listed.into_inner().ads.is_empty());
    let counted = other.count_ads(CountAdsRequest::default()).await.unwrap();
    assert!(counted.into_inner().counts.is_empty());
}

#[tokio::test]
async fn who_has_no_key_or_no_tenant_reads_nothing() {
    let house = House::open().await;
    let mut nobody = house.nobody();
    let refused = nobody.get_ad(get("ads/1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let mut operator = house.client(TenantId::OPERATOR);
    let refused = operator.get_ad(get("ads/1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = operator.watch_ads(WatchAdsRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_wrong_argument_is_named() {
    let house = House::open().await;
    let mut client = house.client(tenant(0));
    for name in ["", "1", "ads/", "accounts/1", "ads/1/history"] {
        let refused = client.get_ad(get(name)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}");
        assert_eq!(fields(&refused), ["name"], "{name}");
        let refused = client.list_ad_history(history(name)).await.unwrap_err();
        assert_eq!(fields(&refused), ["parent"], "{name}");
    }
    let list = ListAdsRequest::default;
    for (request, field) in [
        (
            ListAdsRequest {
                page_size: -1,
                ..list()
            },
            "page_size",
        ),
        (
            ListAdsRequest {
                page_token: "nonsense".into(),
                ..list()
            },
            "page_token",
        ),
        (
            ListAdsRequest {
                filter: "status = ".into(),
                ..list()
            },
            "filter",
        ),
        (
            ListAdsRequest {
                order_by: "name".into(),
                ..list()
            },
            "order_by",
        ),
    ] {
        let refused = client.list_ads(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fields(&refused), [field]);
    }
    let count = CountAdsRequest {
        ad_account_id: "acct".into(),
        consistency: None,
    };
    let refused = client.count_ads(count).await.unwrap_err();
    assert_eq!(fields(&refused), ["ad_account_id"]);
    let watch = WatchAdsRequest {
        filter: String::new(),
        resume_token: "nonsense".into(),
    };
    let refused = client.watch_ads(watch).await.unwrap_err();
    assert_eq!(fields(&refused), ["resume_token"]);
}
