//! Given, when, then, for a projection on a real database.
//!
//! ```ignore
//! let mut stage = Stage::<AdStatus>::open().await;
//! stage.given(&[connected]).await;
//! stage.given(&[paused]).await;
//! stage.then("SELECT ad_id, status FROM ad", &["(1,PAUSED)"]).await;
//! ```

use std::{fmt, marker::PhantomData};

use compline_event::Recorded;
use compline_eventlog::TopicSpec;
use compline_readmodel::{
    FoldError, Projection, Role,
    generation::{self, Plan},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{Postgres, dump, postgres, tables};

/// The tables of one projection's first generation, and a session of its writer.
pub struct Stage<P> {
    postgres: Postgres,
    schema: String,
    writer: PgConnection,
    superuser: PgConnection,
    projection: PhantomData<fn() -> P>,
}

/// Why a batch was not applied; nothing of it was written.
#[derive(Debug)]
pub enum Refused {
    /// `apply` said so, of the event at this place of the batch.
    Fold(usize, FoldError),
    /// Postgres said so.
    Store(sqlx::Error),
}

impl<P: Projection> Stage<P> {
    pub async fn open() -> Self {
        Self::on(postgres().await).await
    }

    /// On a database that is there already.
    pub async fn on(postgres: Postgres) -> Self {
        let plan = Plan::first::<P>(|topic| TopicSpec::of(topic).partitions);
        generation::create(postgres.database(), &plan)
            .await
            .expect("the projection's migrations run");
        Self {
            writer: postgres.connect(Role::Projector, &plan.schema).await,
            superuser: postgres.superuser().await,
            schema: plan.schema,
            postgres,
            projection: PhantomData,
        }
    }

    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Another session of `role` on the projection's tables.
    pub async fn connect(&self, role: Role) -> PgConnection {
        self.postgres.connect(role, &self.schema).await
    }

    /// Applies one batch, as the projector does: `load`, `apply` for each event,
    /// `store`, in one transaction.
    pub async fn when(&mut self, batch: &[Recorded]) -> Result<(), Refused> {
        project::<P>(&mut self.writer, batch).await
    }

    /// Applies one batch that must be taken.
    pub async fn given(&mut self, batch: &[Recorded]) -> &mut Self {
        if let Err(refused) = self.when(batch).await {
            panic!("{} refuses {batch:#?}: {refused:?}", P::NAME);
        }
        self
    }

    /// The rows of `query` as Postgres writes rows, `(1,ACTIVE,)`, in its order.
    pub async fn rows(&mut self, query: &str) -> Vec<String> {
        let statement = format!("SELECT (row.*)::text FROM ({query}) AS row");
        let path = format!("SET search_path = {}", self.schema);
        let found = async {
            sqlx::query(AssertSqlSafe(path))
                .execute(&mut self.superuser)
                .await?;
            sqlx::query_scalar(AssertSqlSafe(statement))
                .fetch_all(&mut self.superuser)
                .await
        };
        found
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Compares the rows of `query` with those that should be there.
    pub async fn then(&mut self, query: &str, expected: &[&str]) -> &mut Self {
        assert_eq!(self.rows(query).await, expected, "{query}");
        self
    }

    /// Every row of every table.
    pub async fn dump(&mut self) -> String {
        let dump = dump(&mut self.superuser, &self.schema).await;
        dump.expect("the superuser may read any table")
    }

    /// Takes every row away.
    pub async fn empty(&mut self) {
        let tables = tables(&mut self.superuser, &self.schema).await;
        for table in tables.expect("tables can be listed") {
            let statement = format!("TRUNCATE {}.{table} CASCADE", self.schema);
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut self.superuser)
                .await
                .expect("the superuser may empty any table");
        }
    }
}

/// Applies one batch in the generation whose schema is `writer`'s search path.
pub(crate) async fn project<P: Projection>(
    writer: &mut PgConnection,
    batch: &[Recorded],
) -> Result<(), Refused> {
    let mut tx = writer.begin().await.map_err(Refused::Store)?;
    let mut rows = P::load(&mut tx, batch).await.map_err(Refused::Store)?;
    for (index, event) in batch.iter().enumerate() {
        P::apply(&mut rows, event).map_err(|error| Refused::Fold(index, error))?;
    }
    P::store(&mut tx, rows).await.map_err(Refused::Store)?;
    tx.commit().await.map_err(Refused::Store)
}

impl<P> fmt::Debug for Stage<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("schema", &self.schema)
            .field("postgres", &self.postgres)
            .finish_non_exhaustive()
    }
}
