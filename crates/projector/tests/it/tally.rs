//! The fold under test's hands.

use std::collections::BTreeMap;

use compline_event::{Event, Recorded, TenantId, Topic};
use compline_readmodel::{FoldError, Projection};
use sqlx::{PgConnection, migrate::Migrator};

pub(crate) struct Tally;

/// A status that `apply` refuses.
pub(crate) const UNFOLDABLE: &str = "UNFOLDABLE";
/// A status that Postgres refuses.
pub(crate) const REFUSED: &str = "REFUSED";

type Added = BTreeMap<(TenantId, String), (i64, String)>;

impl Projection for Tally {
    const NAME: &'static str = "tally";
    const TOPICS: &'static [Topic] = &[Topic::Ad];
    type Rows = Added;

    fn migrator() -> Migrator {
        sqlx::migrate!("tests/it/migrations")
    }

    async fn load(_: &mut PgConnection, _: &[Recorded]) -> Result<Added, sqlx::Error> {
        Ok(Added::new())
    }

    fn apply(rows: &mut Added, event: &Recorded) -> Result<(), FoldError> {
        let Event::AdStatusChanged(change) = &event.envelope.event else {
            return Ok(());
        };
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
