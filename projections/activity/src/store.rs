//! The shell around the fold: what a batch touches, reads and writes.

mod load;
mod save;

use std::collections::BTreeSet;

use compline_event::{Event, Recorded, TenantId, Topic, command::Commanded};
use compline_readmodel::{FoldError, Projection};
use sqlx::{PgConnection, migrate::Migrator};

use crate::apply::{self, ReadKey, RequestKey, Rows};

/// The projection, as its projector runs it.
#[derive(Clone, Copy, Debug)]
pub struct ActivityTrail;

impl Projection for ActivityTrail {
    const NAME: &'static str = crate::NAME;
    const TOPICS: &'static [Topic] = crate::TOPICS;
    type Rows = Rows;

    fn migrator() -> Migrator {
        sqlx::migrate!()
    }

    async fn load(conn: &mut PgConnection, events: &[Recorded]) -> Result<Rows, sqlx::Error> {
        let touched = Touched::by(events);
        let mut rows = Rows::default();
        load::versions(conn, &touched, &mut rows).await?;
        load::admin_keys(conn, &touched, &mut rows).await?;
        load::requests(conn, &touched, &mut rows).await?;
        load::notifications(conn, &touched, &mut rows).await?;
        load::reads(conn, &touched, &mut rows).await?;
        Ok(rows)
    }

    fn apply(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
        apply::apply(rows, event)
    }

    async fn store(conn: &mut PgConnection, mut rows: Rows) -> Result<(), sqlx::Error> {
        let admin_keys = rows.take_changed_admin_keys();
        save::counts(conn, &rows).await?;
        save::activities(conn, rows.activities).await?;
        save::notifications(conn, rows.notifications).await?;
        save::reads(conn, rows.reads).await?;
        save::counters(conn, rows.counters).await?;
        save::versions(conn, rows.versions).await?;
        save::admin_keys(conn, admin_keys).await?;
        save::requests(conn, rows.requests).await
    }
}

/// What the fold will ask about.
#[derive(Default)]
struct Touched {
    entities: BTreeSet<(TenantId, String)>,
    /// Tenants whose keys change.
    keyed: BTreeSet<TenantId>,
    requests: BTreeSet<RequestKey>,
    notifications: BTreeSet<(TenantId, String)>,
    reads: BTreeSet<ReadKey>,
}

impl Touched {
    /// An event that cannot be applied touches nothing; the fold says why.
    fn by(events: &[Recorded]) -> Self {
        let mut touched = Self::default();
        for event in events {
            let Some(tenant) = event.envelope.tenant else {
                continue;
            };
            match &event.envelope.event {
                Event::NotificationRaised(e) => {
                    let id = apply::notification_id(&e.notification_id);
                    touched.notifications.insert((tenant, id));
                }
                Event::NotificationRead(e) => {
                    let id = apply::notification_id(&e.notification_id);
                    touched.notifications.insert((tenant, id.clone()));
                    let reader = apply::reader(&e.reader);
                    touched.reads.insert((tenant, reader, id));
                }
                other => {
                    if let Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) = other {
                        touched.keyed.insert(tenant);
                    }
                    if let Ok(Some(command)) = Commanded::of(&event.envelope) {
                        let request = (tenant, command.entity.clone(), command.request_id);
                        touched.requests.insert(request);
                        touched.entities.insert((tenant, command.entity));
                    }
                }
            }
        }
        touched
    }
}
