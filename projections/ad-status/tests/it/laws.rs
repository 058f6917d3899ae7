//! The same log gives the same rows, however it is cut and whoever comes first.

use std::collections::BTreeMap;

use compline_event::{Event, Partition, Recorded};
use compline_readmodel::Role;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{
    event::{Said, said},
    house::{House, empty, fold, rows},
};

/// Gives each event its place, by partition.
fn logs(said: &[Said]) -> BTreeMap<Partition, Vec<Recorded>> {
    let mut logs: BTreeMap<Partition, Vec<Recorded>> = BTreeMap::new();
    for said in said {
        let log = logs.entry(said.partition()).or_default();
        let offset = i64::try_from(log.len()).unwrap();
        log.push(said.clone().at(offset));
    }
    logs
}

/// Cuts each partition's log at random and mixes the pieces of both.
fn batches(
    logs: BTreeMap<Partition, Vec<Recorded>>,
    mut draw: impl FnMut(usize) -> usize,
) -> Vec<Vec<Recorded>> {
    let mut logs: Vec<Vec<Recorded>> = logs.into_values().collect();
    let mut batches = Vec::new();
    while !logs.is_empty() {
        let which = draw(logs.len());
        let take = 1 + draw(logs[which].len());
        batches.push(logs[which].drain(..take).collect());
        logs.retain(|log| !log.is_empty());
    }
    batches
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_the_order_across_keys_change_nothing() {
    let house = House::open().await;
    let conn = tokio::sync::Mutex::new(house.connect(Role::Projector).await);
    let handle = tokio::runtime::Handle::current();
    let law = (prop::collection::vec(said(), 1..40), any::<[u16; 32]>());
    let test = move || {
        TestRunner::new(ProptestConfig::with_cases(40)).run(&law, |(said, draws)| {
            handle.block_on(async {
                let mut conn = conn.lock().await;
                empty(&mut conn).await;
                // Partition by partition, one event at a time: the law's left side.
                for event in logs(&said).into_values().flatten() {
                    fold(&mut conn, &[event]).await;
                }
                let one_by_one = rows(&mut conn).await;

                empty(&mut conn).await;
                let mut draws = draws.into_iter().cycle();
                let draw = |below: usize| usize::from(draws.next().unwrap()) % below;
                for batch in batches(logs(&said), draw) {
                    fold(&mut conn, &batch).await;
                }
                prop_assert_eq!(&rows(&mut conn).await, &one_by_one);

                counts_are_those_of_the_rows(&mut conn).await;
                versions_are_the_events(&mut conn, &said).await;
                Ok(())
            })
        })
    };
    tokio::task::spawn_blocking(test).await.unwrap().unwrap();
}

async fn counts_are_those_of_the_rows(conn: &mut sqlx::PgConnection) {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT tenant_id, ad_account_id, status, count(*) AS ads FROM ad GROUP BY 1, 2, 3
         ) AS found FULL JOIN (SELECT * FROM ad_count WHERE ads <> 0) AS kept
           USING (tenant_id, ad_account_id, status)
         WHERE found.ads IS DISTINCT FROM kept.ads",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM ad
         WHERE open_issues <> (SELECT count(*) FROM ad_issue
                               WHERE ad_issue.tenant_id = ad.tenant_id AND ad_issue.ad_id = ad.ad_id)",
    )
    .fetch_one(conn)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
}

async fn versions_are_the_events(conn: &mut sqlx::PgConnection, said: &[Said]) {
    let (events, changes): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT sum(version)::bigint FROM ad), (SELECT count(*) FROM ad_status_history)",
    )
    .fetch_one(conn)
    .await
    .unwrap();
    let told = |said: &&Said| matches!(said.event, Event::AdStatusChanged(_));
    assert_eq!(usize::try_from(events).unwrap(), said.len());
    assert_eq!(
        usize::try_from(changes).unwrap(),
        said.iter().filter(told).count()
    );
}

/// An event that passes every guard twice must not pass unseen.
#[tokio::test]
async fn a_change_that_is_folded_twice_is_refused() {
    use compline_ad_status::AdStatus;
    use compline_event::ad_events::AdStatusChanged;
    use compline_readmodel::Projection as _;

    let house = House::open().await;
    let mut conn = house.connect(Role::Projector).await;
    let batch = [Said {
        tenant: 0,
        ad: 1,
        event: Event::AdStatusChanged(AdStatusChanged {
            ad_id: "1".into(),
            new_status: "ACTIVE".into(),
            ..AdStatusChanged::default()
        }),
    }
    .at(0)];
    fold(&mut conn, &batch).await;
    let mut again = AdStatus::load(&mut conn, &batch).await.unwrap();
    AdStatus::apply(&mut again, &batch[0]).unwrap();
    assert!(AdStatus::store(&mut conn, again).await.is_err());
}
