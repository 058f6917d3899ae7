//! Applies what is owed and was too much for the connection's own transaction.

use compline_engine::Outputs;
use sqlx::PgConnection;

use crate::{
    decide::settle,
    pending::AT_ONCE,
    state::State,
    store::{
        load::{PendingRow, account_id, load_told},
        lock::lock,
        named::Named,
        write::store,
    },
};

/// Accounts whose queue one call works on.
const QUEUES_AT_ONCE: i64 = 16;

/// Whether there was a queue. May say nothing though it worked: an equal status is
/// no news.
pub(super) async fn settle_queues(
    conn: &mut PgConnection,
    outputs: &mut Outputs,
) -> Result<bool, sqlx::Error> {
    let queues = sqlx::query_scalar!(
        "SELECT account_id FROM pending WHERE owed_to <> '{}'
         GROUP BY account_id ORDER BY account_id LIMIT $1",
        QUEUES_AT_ONCE,
    )
    .fetch_all(&mut *conn)
    .await?;
    if queues.is_empty() {
        return Ok(false);
    }
    let mut named = Named::default();
    for account in &queues {
        named.accounts.insert(account_id(account)?);
    }
    lock(conn, &named.accounts).await?;
    let rows = sqlx::query_as!(
        PendingRow,
        "SELECT account_id, source_partition, record_offset, ordinal, recorded_at, event_id,
                correlation_id, traceparent, body, owed_to
         FROM pending WHERE account_id = ANY($1) AND owed_to <> '{}'
         ORDER BY account_id, source_partition, record_offset, ordinal LIMIT $2",
        &queues,
        i64::try_from(AT_ONCE).expect("a small constant"),
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut state = State::default();
    for row in rows {
        let (place, waiting) = row.read()?;
        named.body(&waiting.body, waiting.recorded_at);
        let tenants = named.tenants.entry(place.account.clone()).or_default();
        tenants.extend(&waiting.owed_to);
        state.pending.stored.insert(place, waiting);
    }
    load_told(conn, &named, &mut state).await?;
    for (place, waiting) in state.pending.take_owed() {
        settle(&mut state, outputs, &place, &waiting, &waiting.owed_to);
    }
    store(conn, state).await?;
    Ok(true)
}
