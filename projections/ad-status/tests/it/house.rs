//! A Postgres of a test's own, with the first generation's tables.

use compline_ad_status::AdStatus;
use compline_cluster::{Cluster, ClusterConfig};
use compline_event::Recorded;
use compline_readmodel::{
    Database, Projection, Role,
    generation::{self, Plan, schema_name},
    role,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

pub(crate) const TABLES: [&str; 4] = ["ad", "ad_status_history", "ad_issue", "ad_count"];

pub(crate) struct House {
    pub(crate) database: Database,
    _cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(ClusterConfig {
            prefer_system: true,
            lose_data_on_crash: true,
            shared_buffers: "32MB".into(),
            ..ClusterConfig::new(folder.path().join("postgres"))
        });
        let cluster = cluster.await.unwrap();
        let admin: PgConnectOptions = cluster.url("postgres").parse().unwrap();
        role::bootstrap(&admin, "compline", |_| "test".to_owned())
            .await
            .unwrap();
        let options = admin.database("compline");
        let database =
            Database::new(move |role| options.clone().username(role.as_str()).password("test"));
        generation::migrate(&database).await.unwrap();
        generation::create(&database, &Plan::first::<AdStatus>(|_| 2))
            .await
            .unwrap();
        Self {
            database,
            _cluster: cluster,
            _folder: folder,
        }
    }

    pub(crate) async fn connect(&self, role: Role) -> PgConnection {
        let schema = schema_name(AdStatus::NAME, 1);
        PgConnection::connect_with(&self.database.options(role, &schema))
            .await
            .unwrap()
    }
}

/// One batch, as a projector applies it.
pub(crate) async fn fold(conn: &mut PgConnection, batch: &[Recorded]) {
    let mut tx = conn.begin().await.unwrap();
    let mut rows = AdStatus::load(&mut tx, batch).await.unwrap();
    for event in batch {
        AdStatus::apply(&mut rows, event).unwrap();
    }
    AdStatus::store(&mut tx, rows).await.unwrap();
    tx.commit().await.unwrap();
}

/// Every row of every table, as text.
pub(crate) async fn rows(conn: &mut PgConnection) -> Vec<String> {
    let mut all = Vec::new();
    for table in TABLES {
        let statement =
            format!("SELECT '{table} ' || row_to_json({table})::text FROM {table} ORDER BY 1");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        all.extend(rows);
    }
    all
}

pub(crate) async fn empty(conn: &mut PgConnection) {
    for table in TABLES {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}")))
            .execute(&mut *conn)
            .await
            .unwrap();
    }
}
