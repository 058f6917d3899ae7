//! The way to Postgres ends without a word: no answer comes, and nobody is told so.

use std::time::Duration;

use compline_event::{Partition, Topic};
use compline_eventlog::TopicSpec;
use compline_readmodel::{Projection as _, Reader, Role, Wake, Wakes, Want, generation::SCHEMA};
use compline_testkit::{Way, tenant};
use tokio::time::timeout;

use crate::{
    street::{PARTITION, Street},
    tally::Tally,
};

/// A writer's statement may take 8 s, so silence is one only after that; then the
/// partitions begin anew, each on a connection that was made since.
const SOON: Duration = Duration::from_secs(20);

/// Nobody waits for a reader's first statement for so long.
const AT_ONCE: Duration = Duration::from_secs(6);

const PLACES: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_goes_on_by_another_connection() {
    let street = Street::open().await;
    let way = Way::to(street.postgres.address()).await;
    let running = street.start_in(&street.postgres.database_by(&way), 50);
    running.follows_all().await;
    let partitions = TopicSpec::of(Topic::Ad).partitions;
    for partition in 0..partitions as i32 {
        street.tell_in(Partition(partition), "ad0", "0", None).await;
    }
    street.reached(1).await;

    way.forget();
    street.tell("ad0", "1", None).await;
    let gone_on = timeout(SOON, street.reached_in(PARTITION, 2)).await;
    gone_on.expect("it waits for an answer that never comes");
    running.stop().await;
    let rows = street.rows().await;
    assert_eq!(rows["ad0"].0, i64::from(partitions) + 1, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_and_no_place_is_lost() {
    let street = Street::open().await;
    let way = Way::to(street.postgres.address()).await;
    let database = street.postgres.database_by(&way);
    let wakes = Wakes::start(database.pool(Role::Query, SCHEMA, 1));
    let mut woken = wakes.subscribe();
    let reader = Reader::new(Tally::NAME, database, wakes, PLACES);
    let (tenant, now) = (tenant(1), Want::now());
    let told = timeout(SOON, woken.recv()).await.unwrap().unwrap();
    assert_eq!(*told, Wake::Unknown, "it listens");

    // Twice, for what was lost the first time would be missed the second.
    for _ in 0..2 {
        let mut all = Vec::new();
        for _ in 0..PLACES {
            all.push(reader.snapshot(tenant, &now).await.unwrap());
        }
        drop(all);
        tokio::time::sleep(Duration::from_millis(200)).await;
        way.forget();
        let read = timeout(AT_ONCE, reader.snapshot(tenant, &now)).await;
        read.expect("it waits for an answer that never comes")
            .unwrap();
    }
    let told = timeout(SOON + AT_ONCE, woken.recv()).await;
    let told = told.expect("it listens where nothing comes").unwrap();
    assert_eq!(*told, Wake::Unknown, "it listens anew");
}
