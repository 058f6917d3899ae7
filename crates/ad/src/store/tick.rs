//! What time alone brings, one bounded chunk of each a call.

use std::collections::BTreeSet;

use compline_engine::{Output, Outputs};
use compline_event::{
    AdAccountId, Event, EventId, Offset, Partition, RecordId, Source, TenantId, Topic,
    activity_events::WebhookExpired,
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::{
    load::{PendingRow, account_id, load_told},
    lock::lock,
    named::Named,
    write::store,
};
use crate::{
    ACTOR, NAME,
    decide::settle,
    pending::AT_ONCE,
    state::{CONTENT_KEPT, State},
    watch::WAIT,
};

/// Accounts whose queue one call works on.
const QUEUES_AT_ONCE: i64 = 16;

/// Accounts times hours that expire in one call.
const EXPIRED_AT_ONCE: i64 = 500;

/// Content ids that one call forgets. Once a minute, it keeps up with 1,600
/// changes a second.
const FORGOTTEN_AT_ONCE: i64 = 100_000;

/// How much longer than [`WAIT`] a change is kept: a connection may be recorded
/// in time and be folded a little later.
const GRACE: Duration = Duration::hours(1);

pub(crate) async fn tick(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    outputs: &mut Outputs,
) -> Result<(), sqlx::Error> {
    settle_queues(conn, outputs).await?;
    expire(conn, now, outputs).await?;
    forget(conn).await
}

/// Applies what is owed and was too much for the connection's own transaction.
async fn settle_queues(conn: &mut PgConnection, outputs: &mut Outputs) -> Result<(), sqlx::Error> {
    let queues = sqlx::query_scalar!(
        "SELECT account_id FROM pending WHERE owed_to <> '{}'
         GROUP BY account_id ORDER BY account_id LIMIT $1",
        QUEUES_AT_ONCE,
    )
    .fetch_all(&mut *conn)
    .await?;
    if queues.is_empty() {
        return Ok(());
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
    store(conn, state).await
}

/// Gives up waiting, and says so: once per account and hour of recording, so that
/// the same changes are told as the same event whenever this runs.
async fn expire(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    outputs: &mut Outputs,
) -> Result<(), sqlx::Error> {
    let given_up = now - WAIT - GRACE;
    let due = sqlx::query!(
        r#"SELECT account_id, date_trunc('hour', recorded_at, 'UTC') AS "hour!" FROM pending
           WHERE owed_to = '{}' AND recorded_at < date_trunc('hour', $1::timestamptz, 'UTC')
           GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $2"#,
        given_up,
        EXPIRED_AT_ONCE,
    )
    .fetch_all(&mut *conn)
    .await?;
    if due.is_empty() {
        return Ok(());
    }
    let mut locked = BTreeSet::new();
    let (mut accounts, mut hours) = (Vec::new(), Vec::new());
    for row in due {
        locked.insert(account_id(&row.account_id)?);
        accounts.push(row.account_id);
        hours.push(row.hour);
    }
    lock(conn, &locked).await?;
    let expired = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM pending USING unnest($1::text[], $2::timestamptz[]) AS due (account_id, hour)
               WHERE pending.account_id = due.account_id AND owed_to = '{}'
                   AND recorded_at >= due.hour AND recorded_at < due.hour + interval '1 hour'
               RETURNING pending.*, due.hour
           )
           SELECT DISTINCT ON (account_id, hour)
               account_id AS "account_id!", hour AS "hour!", source_partition AS "source_partition!",
               record_offset AS "record_offset!", event_id AS "event_id!", correlation_id,
               traceparent AS "traceparent!",
               count(*) OVER (PARTITION BY account_id, hour) AS "changes!"
           FROM gone ORDER BY account_id, hour, source_partition, record_offset, ordinal"#,
        &accounts,
        &hours,
    )
    .fetch_all(conn)
    .await?;
    let mut state = State::default();
    for row in expired {
        let changes = u32::try_from(row.changes).unwrap_or(u32::MAX);
        state.tally.expired += u64::from(changes);
        let causation_id = EventId::new(row.event_id);
        let account: AdAccountId = account_id(&row.account_id)?;
        outputs.push(Output {
            about: RecordId {
                topic: Topic::WebhookMeta,
                partition: Partition(row.source_partition),
                offset: Offset(row.record_offset),
            },
            slot: format!("{account}/{}/WebhookExpired", row.hour.unix_timestamp()),
            tenant: TenantId::OPERATOR,
            occurred_at: row.hour + WAIT + GRACE,
            source: Source::Engine(NAME.to_owned()),
            actor: ACTOR.to_owned(),
            causation_id,
            correlation_id: Some(row.correlation_id.map_or(causation_id, EventId::new)),
            traceparent: row.traceparent,
            event: Event::WebhookExpired(WebhookExpired {
                ad_account_id: account.to_string(),
                changes,
            }),
        });
    }
    state.tally.publish();
    Ok(())
}

/// Forgets content ids that no retry can repeat: by how far their own partition
/// is folded, for the clock may be days ahead of a fold that catches up.
async fn forget(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let kept_seconds = CONTENT_KEPT.as_seconds_f64();
    sqlx::query!(
        "DELETE FROM seen_change WHERE ctid = ANY (ARRAY(
             SELECT seen.ctid FROM progress JOIN seen_change AS seen USING (source_partition)
             WHERE seen.recorded_at < progress.recorded_at - make_interval(secs => $1)
             LIMIT $2
         ))",
        kept_seconds,
        FORGOTTEN_AT_ONCE,
    )
    .execute(conn)
    .await?;
    Ok(())
}
