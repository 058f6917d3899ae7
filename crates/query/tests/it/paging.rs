//! Pages: every row once, in order, whatever the size; and tokens that belong to
//! one query.

use compline_api::query::{Ad, ListAdHistoryRequest, ListAdsRequest};

use crate::house::{Client, House, fields, issue, status, tenant};

async fn all(client: &mut Client, order_by: &str, page_size: i32) -> Vec<Ad> {
    let mut all = Vec::new();
    let mut request = ListAdsRequest {
        page_size,
        order_by: order_by.into(),
        filter: "status != GONE".into(),
        ..ListAdsRequest::default()
    };
    loop {
        let page = client.list_ads(request.clone()).await.unwrap().into_inner();
        assert!(page.ads.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.ads);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return all;
        }
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let mut house = House::open().await;
    let mut events: Vec<_> = (0..40)
        .map(|n| status(&format!("{n}"), n % 4, "ACTIVE"))
        .collect();
    events.extend((40..45).map(|n| issue(&format!("{n}"), "1")));
    house.told(tenant(0), events).await;
    house.told(tenant(1), vec![status("x", 0, "ACTIVE")]).await;
    let mut client = house.client(tenant(0));

    type Key = fn(&Ad) -> (Option<(i64, i32)>, String);
    let keys: [(&str, Key); 3] = [
        ("ad_id", |ad| (None, ad.ad_id.clone())),
        ("status_time", |ad| {
            (
                ad.status_time.map(|at| (at.seconds, at.nanos)),
                ad.ad_id.clone(),
            )
        }),
        ("update_time", |ad| {
            (
                ad.update_time.map(|at| (at.seconds, at.nanos)),
                ad.ad_id.clone(),
            )
        }),
    ];
    for (field, key) in keys {
        let mut expected = all(&mut client, "", 1000).await;
        assert_eq!(expected.len(), 45);
        // An unknown time comes first, as None does.
        expected.sort_by_key(key);
        for (order_by, backwards) in [(field.to_owned(), false), (format!("{field} desc"), true)] {
            if backwards {
                expected.reverse();
            }
            for page_size in [1, 7, 45, 1000] {
                let found = all(&mut client, &order_by, page_size).await;
                assert_eq!(found, expected, "{order_by} by {page_size}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_belongs_to_its_query() {
    let mut house = House::open().await;
    let mut events: Vec<_> = (0..3)
        .map(|n| status(&format!("{n}"), 0, "ACTIVE"))
        .collect();
    events.extend((0..5).map(|n| status("0", n, if n % 2 == 0 { "PAUSED" } else { "ACTIVE" })));
    house.told(tenant(0), events).await;
    let mut client = house.client(tenant(0));
    let first = ListAdsRequest {
        page_size: 1,
        order_by: "status_time".into(),
        ..ListAdsRequest::default()
    };
    let page = client.list_ads(first.clone()).await.unwrap().into_inner();
    let next = ListAdsRequest {
        page_token: page.next_page_token,
        ..first
    };
    for another in [
        ListAdsRequest {
            order_by: "status_time desc".into(),
            ..next.clone()
        },
        ListAdsRequest {
            filter: "status = ACTIVE".into(),
            ..next.clone()
        },
    ] {
        let refused = client.list_ads(another).await.unwrap_err();
        assert_eq!(fields(&refused), ["page_token"]);
    }
    let larger = ListAdsRequest {
        page_size: 9,
        ..next
    };
    let page = client.list_ads(larger).await.unwrap().into_inner();
    assert_eq!(page.ads.len(), 2, "only the size may change");

    // History: of six changes, four pages of two at most.
    let mut request = ListAdHistoryRequest {
        parent: "ads/0".into(),
        page_size: 2,
        ..ListAdHistoryRequest::default()
    };
    let mut offsets = Vec::new();
    loop {
        let page = client.list_ad_history(request.clone()).await.unwrap();
        let page = page.into_inner();
        offsets.extend(
            page.changes
                .into_iter()
                .map(|change| change.position.unwrap().next_offset),
        );
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(offsets.len(), 6);
    assert!(offsets.is_sorted_by(|newer, older| newer > older));
}
