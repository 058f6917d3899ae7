//! Databases and brokers are each test's own, and behave like the real ones.

use compline_event::{Event, tenant_events::OrganizationCreated};
use compline_eventlog::AppenderConfig;
use compline_readmodel::Role;
use compline_testkit::{Story, log, postgres};
use sqlx::{Connection as _, PgConnection};

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_apart_and_roles_are_no_superusers() {
    let (one, other) = tokio::join!(postgres(), postgres());
    let mut superuser = one.superuser().await;
    sqlx::query("CREATE TABLE public.only_here ()")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(one.dump("public").await, "", "a table without rows");
    for role in Role::ALL {
        let mut conn = PgConnection::connect(&other.url(role)).await.unwrap();
        let (name, is_superuser, found): (String, bool, i64) = sqlx::query_as(
            "SELECT current_user::text, rolsuper OR rolbypassrls,
                    (SELECT count(*) FROM pg_class WHERE relname = 'only_here')
             FROM pg_roles WHERE rolname = current_user",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(
            (name.as_str(), is_superuser, found),
            (role.as_str(), false, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashed_has_what_it_acknowledged() {
    let (log, mut broker) = log().await;
    let told = Story::new().tell(Event::OrganizationCreated(OrganizationCreated::default()));
    let appender = log.appender(AppenderConfig::default()).unwrap();
    let appended = appender.append(told.at.topic, None, told.key.clone(), &told.envelope);
    let at = appended.await.unwrap();
    broker.crash();
    broker.start().await;
    let record = log.read_at(at).await.unwrap().unwrap();
    assert_eq!(record.decode().unwrap(), told);
    broker.stop().await;
    broker.start().await;
    assert!(log.read_at(at).await.unwrap().is_some());
}
