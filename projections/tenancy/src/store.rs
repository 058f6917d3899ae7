//! The shell around the fold: what a batch touches, reads and writes.

mod load;
mod save;

use std::collections::BTreeSet;

use compline_event::{AdAccountId, Recorded, TenantId, Topic, command::Commanded};
use compline_readmodel::{FoldError, Projection};
use sqlx::{PgConnection, migrate::Migrator};

use crate::apply::{self, Entity, RequestKey, Rows};

/// The projection, as its projector runs it.
#[derive(Clone, Copy, Debug)]
pub struct Tenancy;

impl Projection for Tenancy {
    const NAME: &'static str = crate::NAME;
    const TOPICS: &'static [Topic] = crate::TOPICS;
    type Rows = Rows;

    fn migrator() -> Migrator {
        sqlx::migrate!()
    }

    async fn load(conn: &mut PgConnection, events: &[Recorded]) -> Result<Rows, sqlx::Error> {
        let touched = Touched::by(events);
        let mut rows = Rows::default();
        load::tenants(conn, &touched, &mut rows).await?;
        load::accounts(conn, &touched, &mut rows).await?;
        load::keys(conn, &touched, &mut rows).await?;
        load::admin_keys(conn, &touched, &mut rows).await?;
        load::requests(conn, &touched, &mut rows).await?;
        Ok(rows)
    }

    fn apply(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
        apply::apply(rows, event)
    }

    async fn store(conn: &mut PgConnection, rows: Rows) -> Result<(), sqlx::Error> {
        save::tenants(conn, rows.tenants.into_values()).await?;
        save::accounts(conn, rows.accounts.into_values()).await?;
        save::keys(conn, rows.keys.into_values()).await?;
        save::requests(conn, rows.requests.into_values()).await
    }
}

/// The primary keys of what a batch may change.
#[derive(Default)]
struct Touched {
    tenants: BTreeSet<TenantId>,
    accounts: BTreeSet<(TenantId, AdAccountId)>,
    keys: BTreeSet<(TenantId, String)>,
    requests: BTreeSet<RequestKey>,
}

impl Touched {
    /// An event that cannot be applied touches nothing; the fold says why.
    fn by(events: &[Recorded]) -> Self {
        let mut touched = Self::default();
        for event in events {
            let Some(tenant) = event.envelope.tenant else {
                continue;
            };
            match apply::entity_of(&event.envelope.event) {
                Ok(Some(Entity::Tenant)) => touched.tenants.insert(tenant),
                Ok(Some(Entity::Account(id))) => touched.accounts.insert((tenant, id)),
                Ok(Some(Entity::Key(id))) => touched.keys.insert((tenant, id)),
                Ok(None) | Err(_) => continue,
            };
            if let Ok(Some(command)) = Commanded::of(&event.envelope) {
                let key = (tenant, command.entity, command.request_id);
                touched.requests.insert(key);
            }
        }
        touched
    }
}
