//! The engine under test's hands: for every input of an account, two ads of which
//! it says how many inputs there were.

use std::collections::BTreeMap;

use compline_engine::{Engine, Output, Outputs};
use compline_event::{
    Event, Recorded, Source, TenantId, Topic, account_events::AccountConnected,
    ad_events::AdStatusChanged,
};
use compline_readmodel::FoldError;
use sqlx::{PgConnection, Row as _, migrate::Migrator};

#[derive(Debug)]
pub(crate) struct Counting;

/// An account of this name gets an output that no topic takes.
pub(crate) const HUGE: &str = "huge";

type Heard = BTreeMap<(TenantId, String), i64>;

impl Engine for Counting {
    const NAME: &'static str = "counting";
    const INPUTS: &'static [Topic] = &[Topic::Account];
    const OUTPUTS: &'static [Topic] = &[Topic::Ad];
    type State = Heard;

    fn migrator() -> Migrator {
        sqlx::migrate!("tests/it/migrations")
    }

    /// Only what the inputs touch: an account's inputs stand on one partition, so
    /// nobody else writes these rows.
    async fn load(
        &self,
        conn: &mut PgConnection,
        inputs: &[Recorded],
    ) -> Result<Heard, sqlx::Error> {
        let accounts: Vec<String> = inputs
            .iter()
            .filter_map(|input| match &input.envelope.event {
                Event::AccountConnected(event) => Some(event.ad_account_id.clone()),
                _ => None,
            })
            .collect();
        let select = "SELECT tenant_id, account_id, inputs FROM heard WHERE account_id = ANY($1)";
        let rows = sqlx::query(select).bind(accounts).fetch_all(conn).await?;
        Ok(rows
            .iter()
            .map(|row| ((TenantId::new(row.get(0)), row.get(1)), row.get(2)))
            .collect())
    }

    fn decide(
        &self,
        heard: &mut Heard,
        input: &Recorded,
        outputs: &mut Outputs,
    ) -> Result<(), FoldError> {
        let Event::AccountConnected(AccountConnected { ad_account_id, .. }) = &input.envelope.event
        else {
            return Ok(());
        };
        let tenant = input.envelope.require_tenant().unwrap();
        let inputs = heard.entry((tenant, ad_account_id.clone())).or_default();
        *inputs += 1;
        for copy in ["left", "right"] {
            outputs.push(Output {
                about: input.at,
                slot: copy.to_owned(),
                tenant,
                occurred_at: input.envelope.occurred_at,
                source: Source::Engine(Self::NAME.to_owned()),
                actor: String::new(),
                causation_id: input.envelope.event_id,
                correlation_id: None,
                traceparent: String::new(),
                event: Event::AdStatusChanged(AdStatusChanged {
                    ad_id: format!("{ad_account_id}-{copy}"),
                    new_status: inputs.to_string(),
                    reason: match ad_account_id.as_str() {
                        HUGE => "x".repeat(2 << 20),
                        _ => String::new(),
                    },
                    ..Default::default()
                }),
            });
        }
        Ok(())
    }

    async fn store(&self, conn: &mut PgConnection, heard: Heard) -> Result<(), sqlx::Error> {
        for ((tenant, account), inputs) in heard {
            sqlx::query(
                "INSERT INTO heard VALUES ($1, $2, $3)
                 ON CONFLICT (tenant_id, account_id) DO UPDATE SET inputs = excluded.inputs",
            )
            .bind(tenant.as_uuid())
            .bind(account)
            .bind(inputs)
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }
}
