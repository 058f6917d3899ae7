//! Gives up waiting, and says so: once per account and hour of recording, so that
//! the same changes are told as the same event whenever this runs.

use std::collections::BTreeSet;

use compline_engine::{Output, Outputs};
use compline_event::{
    AdAccountId, Event, EventId, Offset, Partition, RecordId, Source, TenantId, Topic,
    activity_events::WebhookExpired,
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::{
    ACTOR, NAME,
    state::State,
    store::{
        load::account_id,
        lock::{ONE_BY_ONE_MAX, lock},
    },
    watch::WAIT,
};

/// How much longer than [`WAIT`] a change is kept: a connection may be recorded
/// in time and be folded a little later.
const GRACE: Duration = Duration::hours(1);

/// Whether something was due, in which case accounts were locked. Accounts times
/// hours of one call are at most [`ONE_BY_ONE_MAX`]: housekeeping does not stop
/// the batches of all other accounts.
pub(super) async fn expire(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    outputs: &mut Outputs,
) -> Result<bool, sqlx::Error> {
    let given_up = now - WAIT - GRACE;
    let due = sqlx::query!(
        r#"SELECT account_id, date_trunc('hour', recorded_at, 'UTC') AS "hour!" FROM pending
           WHERE owed_to = '{}' AND recorded_at < date_trunc('hour', $1::timestamptz, 'UTC')
           GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $2"#,
        given_up,
        i64::try_from(ONE_BY_ONE_MAX).expect("a small constant"),
    )
    .fetch_all(&mut *conn)
    .await?;
    if due.is_empty() {
        return Ok(false);
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
    Ok(true)
}
