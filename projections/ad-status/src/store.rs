//! The shell around the fold: what a batch touches, reads and writes.
//!
//! Tables are written in one order (ad, ad_issue, ad_status_history, ad_count) and
//! rows in that of their keys, so that two batches cannot deadlock. The counts,
//! which batches of other partitions wait for, come last.

mod load;
mod save;

use compline_event::{Recorded, Topic};
use compline_readmodel::{FoldError, Projection};
use sqlx::{PgConnection, migrate::Migrator};

use crate::apply::{self, Rows};

/// The projection, as its projector runs it.
#[derive(Clone, Copy, Debug)]
pub struct AdStatus;

impl Projection for AdStatus {
    const NAME: &'static str = crate::NAME;
    const TOPICS: &'static [Topic] = crate::TOPICS;
    type Rows = Rows;

    fn migrator() -> Migrator {
        sqlx::migrate!()
    }

    async fn load(conn: &mut PgConnection, events: &[Recorded]) -> Result<Rows, sqlx::Error> {
        let mut rows = Rows::default();
        for event in events {
            if let Some(key) = apply::key_of(event) {
                rows.ads.entry(key).or_default();
            }
        }
        load::ads(conn, &mut rows).await?;
        load::issues(conn, &mut rows).await?;
        Ok(rows)
    }

    fn apply(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
        apply::apply(rows, event)
    }

    async fn store(conn: &mut PgConnection, rows: Rows) -> Result<(), sqlx::Error> {
        save::ads(conn, &rows).await?;
        save::issues(conn, &rows).await?;
        save::history(conn, &rows.history).await?;
        save::counts(conn, &rows.counts).await
    }
}
