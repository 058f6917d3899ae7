//! Reads that ask to have seen something.

use std::time::{Duration, Instant};

use compline_api::query::{Consistency, GetAdRequest, OnTimeout, Position};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::house::{House, fields, status, tenant};

fn at_least(partition: i32, next_offset: i64, wait_ms: i32) -> Consistency {
    Consistency {
        min_position: vec![Position {
            topic: "ad".into(),
            partition,
            next_offset,
        }],
        max_wait: Some(prost_types::Duration {
            seconds: 0,
            nanos: wait_ms * 1_000_000,
        }),
        on_timeout: OnTimeout::Unspecified.into(),
    }
}

fn get(consistency: Consistency) -> GetAdRequest {
    GetAdRequest {
        name: "ads/1".into(),
        consistency: Some(consistency),
    }
}

#[tokio::test]
async fn a_read_waits_for_its_position_and_no_longer() {
    let mut house = House::open().await;
    let seen = house.told(tenant(0), vec![status("1", 0, "ACTIVE")]).await;
    let at = seen.positions().next().unwrap();
    let (partition, next) = (at.partition.0, at.next_offset.0);
    let mut client = house.client(tenant(0));

    // Not there, and nobody brings it.
    let refused = client.get_ad(get(at_least(partition, next + 1, 50))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded);
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "POSITION_NOT_REACHED");
    assert_eq!(
        info.metadata["wanted"],
        format!("ad/{partition}@{}", next + 1)
    );

    // Not there either, but the caller takes what is.
    let stale = Consistency {
        on_timeout: OnTimeout::Stale.into(),
        ..at_least(partition, next + 1, 50)
    };
    let answer = client.get_ad(get(stale)).await.unwrap().into_inner();
    assert!(answer.seen.unwrap().stale);
    assert_eq!(answer.ad.unwrap().status, "ACTIVE");

    // It comes while the read waits.
    let mut waiting = client.clone();
    let asked = at_least(partition, next + 1, 900);
    let waiting = tokio::spawn(async move { waiting.get_ad(get(asked)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    house.told(tenant(0), vec![status("1", 1, "PAUSED")]).await;
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.ad.unwrap().status, "PAUSED");
    assert!(!answer.seen.unwrap().stale);
}

#[tokio::test]
async fn the_calls_own_deadline_holds_as_well() {
    let mut house = House::open().await;
    house.told(tenant(0), vec![status("1", 0, "ACTIVE")]).await;
    let mut client = house.client(tenant(0));
    let stale = Consistency {
        on_timeout: OnTimeout::Stale.into(),
        max_wait: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
        ..at_least(0, 1_000, 0)
    };
    let mut request = Request::new(get(stale));
    let deadline = Duration::from_secs(2);
    request.set_timeout(deadline);
    let started = Instant::now();
    let answer = client.get_ad(request).await.unwrap().into_inner();
    assert!(answer.seen.unwrap().stale, "an answer, not an error");
    assert!(started.elapsed() < deadline);
}

#[tokio::test]
async fn a_position_that_no_wait_brings_is_refused_at_once() {
    let house = House::open().await;
    let mut client = house.client(tenant(0));
    for (topic, partition, field) in [
        ("activity", 0, "consistency.min_position"),
        ("ad", 99, "consistency.min_position"),
        ("paint", 0, "consistency.min_position[0].topic"),
    ] {
        let mut asked = at_least(partition, 1, 900);
        asked.min_position[0].topic = topic.into();
        asked.max_wait = Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        });
        let started = Instant::now();
        let refused = client.get_ad(get(asked)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{topic}/{partition}");
        assert_eq!(fields(&refused), [field]);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
