//! The fold under test's hands.

use std::collections::BTreeMap;

use compline_event::{Event, Recorded, TenantId, Topic};
use compline_readmodel::{FoldError, Projection};
use sqlx::{PgConnection, migrate::Migrator};

pub(crate) struct Tally;

/// A status that `apply` refuses.
pub(crate) const UNFOLDABLE: &str = "UNFOLDABLE";
/// A status that Postgres refuses to store.
pub(crate) const REFUSED: &str = "REFUSED";
/// A status whose rows Postgres refuses to look for.
pub(crate) const UNLOADABLE: &str = "UNLOADABLE";
/// A status whose fold has a bug.
pub(crate) const BUG: &str = "BUG";
/// A status that takes long to store, more than two at a time too long.
pub(crate) const SLOW: &str = "SLOW";

pub(crate) type Added = BTreeMap<(TenantId, String), (i64, String)>;

impl Projection for Tally {
    const NAME: &'static str = "tally";
    const TOPICS: &'static [Topic] = &[Topic::Ad];
    type Rows = Added;

    fn migrator() -> Migrator {
        sqlx::migrate!("tests/it/migrations")
    }

    async fn load(conn: &mut PgConnection, events: &[Recorded]) -> Result<Added, sqlx::Error> {
        if events.iter().any(|event| status(event) == Some(UNLOADABLE)) {
            sqlx::query("SELECT 'no number'::int").execute(conn).await?;
        }
        Ok(Added::new())
    }

    fn apply(rows: &mut Added, event: &Recorded) -> Result<(), FoldError> {
        let Event::AdStatusChanged(change) = &event.envelope.event else {
            return Ok(());
        };
        assert_ne!(change.new_status, BUG, "the fold has a bug");
        if change.new_status == UNFOLDABLE {
            return Err(FoldError::new("this status cannot be folded"));
        }
        let tenant = event.envelope.require_tenant().unwrap();
        let (events, statuses) = rows.entry((tenant, change.ad_id.clone())).or_default();
        *events += 1;
        statuses.push_str(&change.new_status);
        statuses.push(' ');
        Ok(())
    }

    async fn store(conn: &mut PgConnection, rows: Added) -> Result<(), sqlx::Error> {
        let slow: usize = rows
            .values()
            .map(|(_, said)| said.matches(SLOW).count())
            .sum();
        if slow > 2 {
            let late = "SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(5)";
            sqlx::raw_sql(late).execute(&mut *conn).await?;
        }
        for ((tenant, ad), (events, statuses)) in rows {
            sqlx::query(
                "INSERT INTO tally VALUES ($1, $2, $3, $4)
                 ON CONFLICT (tenant_id, ad_id) DO UPDATE
                 SET events = tally.events + excluded.events,
                     statuses = tally.statuses || excluded.statuses",
            )
            .bind(tenant.as_uuid())
            .bind(ad)
            .bind(events)
            .bind(statuses)
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }
}

fn status(event: &Recorded) -> Option<&str> {
    match &event.envelope.event {
        Event::AdStatusChanged(change) => Some(&change.new_status),
        _ => None,
    }
}
