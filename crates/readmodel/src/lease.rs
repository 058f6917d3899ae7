//! A connection lent by a pool, and what becomes of it when nothing comes back any more.
//!
//! A way to Postgres may end without a word: a machine lost its power, a router forgot.
//! Whoever waits for an answer then waits for ever, and so does the pool: it asks each
//! connection that it is given back how it is, and until the answer comes nobody has its
//! place. So who holds a lease waits for as long as something is heard; a connection
//! that has gone silent is hung up, and so is all that idles beside it, for that went
//! the same way.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection, raw_sql};
use tokio::time::timeout;

use crate::silence::{SILENCE, silent_for, while_it_moves};

/// How long a connection that is given back may take to say that it is well.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// There until then.
    conn: Option<PoolConnection<Postgres>>,
    pool: PgPool,
    line: Line,
    in_transaction: bool,
}

/// A lease's way to Postgres.
#[derive(Clone, Debug)]
pub struct Line {
    /// Postgres ends a statement sooner, and says so.
    patience: Duration,
    silent: Arc<AtomicBool>,
}

impl Lease {
    /// Of a writer's pool, or for what is done in a moment.
    pub async fn of(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Self::with_patience(pool, SILENCE).await
    }

    pub(crate) async fn with_patience(
        pool: &PgPool,
        patience: Duration,
    ) -> Result<Self, sqlx::Error> {
        let line = Line {
            patience,
            silent: Arc::default(),
        };
        Ok(Self {
            conn: Some(pool.acquire().await?),
            pool: pool.clone(),
            line,
            in_transaction: false,
        })
    }

    /// To listen on while the lease itself is busy.
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// Begins a transaction that the lease takes with it when it goes; without savepoints.
    pub(crate) async fn begin_with(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.in_transaction = true;
        raw_sql(statement).execute(&mut **self).await?;
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        raw_sql("COMMIT").execute(&mut *self).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Never to be given back.
    pub fn detach(mut self) -> PgConnection {
        self.conn.take().expect(LENT).detach()
    }
}

impl Line {
    /// Does what is done on the lease, see [`crate::silence::unless_silent`].
    pub async fn heard<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.heard_within(self.patience, work).await
    }

    pub(crate) async fn heard_within<T, E: From<sqlx::Error>>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = while_it_moves(patience, work).await;
        done.unwrap_or_else(|| {
            self.silent.store(true, Ordering::Release);
            Err(silent_for(patience).into())
        })
    }
}

const LENT: &str = "taken only when the lease ends";

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn.as_ref().expect(LENT)
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_mut().expect(LENT)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        let pool = self.pool.clone();
        if self.line.silent.load(Ordering::Acquire) {
            drop(conn.detach());
            hang_up_idle(&pool);
            return;
        }
        let in_transaction = self.in_transaction;
        tokio::spawn(async move {
            let giving_back = async {
                if in_transaction && raw_sql("ROLLBACK").execute(&mut *conn).await.is_err() {
                    conn.close_on_drop();
                    return;
                }
                conn.return_to_pool().await;
            };
            if timeout(GIVE_BACK, giving_back).await.is_err() {
                conn.close_on_drop();
                hang_up_idle(&pool);
            }
        });
    }
}

fn hang_up_idle(pool: &PgPool) {
    while let Some(conn) = pool.try_acquire() {
        drop(conn.detach());
    }
}
