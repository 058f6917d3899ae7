//! The worked example of `docs/schema.md`: a projection gets a column. A migration adds it to every
//! generation that stands, and a rebuild fills it from the log.

use compline_event::{Recorded, Topic};
use compline_eventlog::TopicSpec;
use compline_projector::GenerationsError;
use compline_readmodel::{
    FoldError, Projection, Want,
    compare::Difference,
    generation::{self, GenerationError},
};
use sqlx::{PgConnection, migrate::Migrator};

use crate::{
    generations::{Projecting, applied, compare, promotion, reader, rebuild, steward, tell},
    street::Street,
    tally::{Added, Tally},
};

/// The next build's tally.
struct TallyWithLast;

impl Projection for TallyWithLast {
    const NAME: &'static str = Tally::NAME;
    const TOPICS: &'static [Topic] = Tally::TOPICS;
    type Rows = Added;

    fn migrator() -> Migrator {
        let later = sqlx::migrate!("tests/it/migrations_later");
        let both = Tally::migrator()
            .iter()
            .chain(later.iter())
            .cloned()
            .collect();
        Migrator::with_migrations(both)
    }

    async fn load(conn: &mut PgConnection, events: &[Recorded]) -> Result<Added, sqlx::Error> {
        Tally::load(conn, events).await
    }

    fn apply(rows: &mut Added, event: &Recorded) -> Result<(), FoldError> {
        Tally::apply(rows, event)
    }

    async fn store(conn: &mut PgConnection, rows: Added) -> Result<(), sqlx::Error> {
        Tally::store(conn, rows.clone()).await?;
        for ((tenant, ad), (_, statuses)) in rows {
            let update = "UPDATE tally SET last_status = $3 WHERE tenant_id = $1 AND ad_id = $2";
            sqlx::query(update)
                .bind(tenant.as_uuid())
                .bind(ad)
                .bind(statuses.split_whitespace().next_back())
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }
}

async fn migrate(street: &Street) -> Result<(), GenerationError> {
    let partitions_of = |topic: Topic| TopicSpec::of(topic).partitions;
    generation::lay_out::<TallyWithLast>(street.postgres.database(), partitions_of).await
}

/// Why a build does not project what stands.
async fn refusal<P: Projection>(street: &Street) -> String {
    match Projecting::open::<P>(street).await {
        Err(GenerationsError::Generation(error @ GenerationError::OtherLayout { .. })) => {
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// ad → its last status, where there is one.
async fn last_statuses(street: &Street, schema: &str) -> Vec<(String, String)> {
    let rows =
        format!("SELECT ad_id, last_status FROM {schema}.tally WHERE last_status <> '' ORDER BY 1");
    sqlx::query_as(sqlx::AssertSqlSafe(rows))
        .fetch_all(&mut street.conn().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_added_beside_running_builds_and_filled_by_a_rebuild() {
    let street = Street::open().await;
    let old = Projecting::start::<Tally>(&street).await;
    tell(&street, 0..70).await;
    applied(&street, &[70]).await;
    let says = refusal::<TallyWithLast>(&street).await;
    assert!(
        says.contains("migration 1, and this build knows 2"),
        "{says}"
    );
    assert!(
        says.contains("run `compline migrate` of this build"),
        "{says}"
    );

    // What runs already goes on over the migration; what starts looks.
    migrate(&street).await.unwrap();
    tell(&street, 70..77).await;
    applied(&street, &[77]).await;
    old.stop().await;
    let says = refusal::<Tally>(&street).await;
    assert!(
        says.contains("a newer build has migrated it, run that one"),
        "{says}"
    );

    // The old rows have the default until something happens to them.
    let new = Projecting::start::<TallyWithLast>(&street).await;
    tell(&street, 77..79).await;
    applied(&street, &[79]).await;
    let both = |ads: &[&str], statuses: &[&str]| -> Vec<(String, String)> {
        let pairs = ads.iter().zip(statuses);
        pairs
            .map(|(ad, status)| ((*ad).to_owned(), (*status).to_owned()))
            .collect()
    };
    let told = both(&["ad0", "ad1"], &["77", "78"]);
    assert_eq!(last_statuses(&street, "tally_g1").await, told);

    let made = rebuild::<TallyWithLast>(&street).await;
    applied(&street, &[79, 79]).await;
    let all = both(
        &["ad0", "ad1", "ad2", "ad3", "ad4", "ad5", "ad6"],
        &["77", "78", "72", "73", "74", "75", "76"],
    );
    assert_eq!(last_statuses(&street, "tally_g2").await, all);

    // It differs by the new column and by nothing else.
    let compared = compare(&street, made).await.unwrap();
    assert_eq!(compared.tables.len(), 1);
    let table = &compared.tables[0];
    assert_eq!((table.differing_rows, table.other_columns.len()), (5, 0));
    for row in &table.rows {
        assert!(
            matches!(&row.difference, Difference::Values(values)
                if values.len() == 1 && values[0].0 == "last_status"),
            "{row:?}"
        );
    }
    let promoted = steward(&street).await.promote(made, &promotion()).await;
    assert_eq!(promoted.unwrap().to, made);
    let mut snapshot = reader(&street)
        .snapshot(compline_testkit::tenant(1), &Want::now())
        .await
        .unwrap();
    let read: Vec<(String, String)> =
        sqlx::query_as("SELECT ad_id, last_status FROM tally ORDER BY 1")
            .fetch_all(snapshot.conn())
            .await
            .unwrap();
    assert_eq!(read, all);
    snapshot.finish().await.unwrap();
    new.stop().await;
}
