//! Row level security: every table, every way to ask wrongly.

use compline_event::{
    Event,
    ad_events::{AdIssueRaised, AdStatusChanged},
};
use compline_readmodel::Role;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    event::{Said, tenant},
    house::{House, TABLES, fold},
};

async fn count(conn: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tenant_reads_its_own_rows_and_nobody_writes() {
    let house = House::open().await;
    let mut projector = house.connect(Role::Projector).await;
    for of in [0, 1] {
        let status = AdStatusChanged {
            ad_id: "1".into(),
            new_status: "WITH_ISSUES".into(),
            ..AdStatusChanged::default()
        };
        let issue = AdIssueRaised {
            ad_id: "1".into(),
            error_code: "7".into(),
            ..AdIssueRaised::default()
        };
        for (offset, event) in [Event::AdStatusChanged(status), Event::AdIssueRaised(issue)]
            .into_iter()
            .enumerate()
        {
            let said = Said {
                tenant: of,
                ad: 1,
                event,
            };
            let offset = i64::try_from(offset).unwrap();
            fold(&mut projector, &[said.at(offset)]).await;
        }
    }
    let mut query = house.connect(Role::Query).await;
    for table in TABLES {
        assert_eq!(
            count(&mut projector, table).await,
            2,
            "{table}: both are there"
        );
        assert_eq!(count(&mut query, table).await, 0, "{table}: no tenant set");
        for (set, expected) in [
            (tenant(0).to_string(), 1),
            (tenant(1).to_string(), 1),
            (tenant(9).to_string(), 0),
            (String::new(), 0),
        ] {
            let mut tx = query.begin().await.unwrap();
            sqlx::query("SELECT set_config('compline.tenant', $1, true)")
                .bind(&set)
                .execute(&mut *tx)
                .await
                .unwrap();
            assert_eq!(count(&mut tx, table).await, expected, "{table}: {set:?}");
        }
        assert_eq!(count(&mut query, table).await, 0, "{table}: not kept");
        let delete = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}")));
        assert!(delete.execute(&mut query).await.is_err(), "{table}");
    }
}
