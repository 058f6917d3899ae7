//! What a batch reads: first the locks of all accounts that it names, then the
//! state of what it names below them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use compline_event::{AdAccountId, EventId, Offset, Partition, Recorded, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{lock::lock, named::Named};
use crate::{
    pending::{AT_ONCE, Pending, Place, Waiting},
    state::{Account, Ad, Seen, State},
    watch::{Span, Watch},
};

/// Ids come back from where only valid ones were written.
pub(super) fn account_id(text: &str) -> Result<AdAccountId, sqlx::Error> {
    text.parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(crate) async fn load(
    conn: &mut PgConnection,
    inputs: &[Recorded],
) -> Result<State, sqlx::Error> {
    let mut named = Named::by(inputs);
    let mut state = State::default();
    lock(conn, &named.accounts).await?;
    load_watches(conn, &named, &mut state).await?;
    load_pending(conn, &named, &mut state.pending).await?;
    for waiting in state.pending.stored.values() {
        named.body(&waiting.body, waiting.recorded_at);
    }
    load_requests(conn, &named, &mut state).await?;
    load_seen(conn, &named, &mut state).await?;
    load_told(conn, &named, &mut state).await?;
    Ok(state)
}

async fn load_watches(
    conn: &mut PgConnection,
    named: &Named,
    state: &mut State,
) -> Result<(), sqlx::Error> {
    if named.accounts.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"SELECT tenant_id, account_id, version, opened_at AS "opened_at?", closed_at
           FROM watch LEFT JOIN watch_span USING (tenant_id, account_id)
           WHERE account_id = ANY($1)
           ORDER BY tenant_id, account_id, span"#,
        &named.account_ids(),
    )
    .fetch_all(conn)
    .await?;
    let mut watches: HashMap<AdAccountId, BTreeMap<TenantId, Watch>> = HashMap::new();
    for row in rows {
        let tenants = watches.entry(account_id(&row.account_id)?).or_default();
        let watch = tenants.entry(TenantId::new(row.tenant_id)).or_default();
        watch.version = row.version.unsigned_abs();
        watch.spans.extend(row.opened_at.map(|opened_at| Span {
            opened_at,
            closed_at: row.closed_at,
        }));
    }
    state.watches = watches;
    Ok(())
}

/// Which accounts have a queue; and, for those that are connected now, what waits
/// for it, as long as that is not too much for one transaction.
async fn load_pending(
    conn: &mut PgConnection,
    named: &Named,
    pending: &mut Pending,
) -> Result<(), sqlx::Error> {
    if named.accounts.is_empty() {
        return Ok(());
    }
    let queued = sqlx::query_scalar!(
        r#"SELECT DISTINCT account_id AS "account_id!" FROM pending
           WHERE account_id = ANY($1) AND owed_to <> '{}'"#,
        &named.account_ids(),
    )
    .fetch_all(&mut *conn)
    .await?;
    for account in queued {
        pending.queued.insert(account_id(&account)?);
    }
    if named.connected.is_empty() {
        return Ok(());
    }
    let connected: Vec<String> = named.connected.iter().map(ToString::to_string).collect();
    let counts = sqlx::query!(
        r#"SELECT account_id, count(*) AS "waiting!" FROM pending
           WHERE account_id = ANY($1) GROUP BY account_id ORDER BY account_id"#,
        &connected,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut room = AT_ONCE;
    let mut read = Vec::new();
    for row in counts {
        let waiting = usize::try_from(row.waiting).unwrap_or(usize::MAX);
        match room.checked_sub(waiting) {
            Some(left) => {
                room = left;
                read.push(row.account_id);
            }
            None => {
                pending.unread.insert(account_id(&row.account_id)?);
            }
        }
    }
    if read.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        PendingRow,
        "SELECT account_id, source_partition, record_offset, ordinal, recorded_at, event_id,
                correlation_id, traceparent, body, owed_to
         FROM pending WHERE account_id = ANY($1)",
        &read,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let (place, waiting) = row.read()?;
        pending.stored.insert(place, waiting);
    }
    Ok(())
}

pub(super) struct PendingRow {
    pub(super) account_id: String,
    pub(super) source_partition: i32,
    pub(super) record_offset: i64,
    pub(super) ordinal: i32,
    pub(super) recorded_at: time::OffsetDateTime,
    pub(super) event_id: Uuid,
    pub(super) correlation_id: Option<Uuid>,
    pub(super) traceparent: String,
    pub(super) body: Vec<u8>,
    pub(super) owed_to: Vec<Uuid>,
}

impl PendingRow {
    pub(super) fn read(self) -> Result<(Place, Waiting), sqlx::Error> {
        let place = Place {
            account: account_id(&self.account_id)?,
            partition: Partition(self.source_partition),
            offset: Offset(self.record_offset),
            ordinal: self.ordinal.unsigned_abs(),
        };
        let waiting = Waiting {
            recorded_at: self.recorded_at,
            event_id: EventId::new(self.event_id),
            correlation_id: self.correlation_id.map(EventId::new),
            traceparent: self.traceparent,
            body: self.body,
            owed_to: self.owed_to.into_iter().map(TenantId::new).collect(),
        };
        Ok((place, waiting))
    }
}

async fn load_requests(
    conn: &mut PgConnection,
    named: &Named,
    state: &mut State,
) -> Result<(), sqlx::Error> {
    if named.requests.is_empty() {
        return Ok(());
    }
    let mut tenants = Vec::new();
    let mut accounts = Vec::new();
    let mut requests = Vec::new();
    for (tenant, account, request) in &named.requests {
        tenants.push(tenant.as_uuid());
        accounts.push(account.to_string());
        requests.push(*request);
    }
    let rows = sqlx::query!(
        "SELECT tenant_id, account_id, request_id
         FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS named (tenant_id, account_id, request_id)
         JOIN seen_request USING (tenant_id, account_id, request_id)",
        &tenants,
        &accounts,
        &requests,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let (Some(tenant), Some(account), Some(request)) =
            (row.tenant_id, row.account_id, row.request_id)
        else {
            continue;
        };
        let key = (TenantId::new(tenant), account_id(&account)?, request);
        state.requests.read(key, ());
    }
    Ok(())
}

async fn load_seen(
    conn: &mut PgConnection,
    named: &Named,
    state: &mut State,
) -> Result<(), sqlx::Error> {
    if named.seen.is_empty() {
        return Ok(());
    }
    let mut accounts = Vec::new();
    let mut times = Vec::new();
    let mut contents = Vec::new();
    for (account, at, content) in &named.seen {
        accounts.push(account.to_string());
        times.push(*at);
        contents.push(content.to_vec());
    }
    let rows = sqlx::query!(
        "SELECT seen.account_id, seen.entry_time, seen.content_id, seen.recorded_at, seen.source_partition
         FROM unnest($1::text[], $2::timestamptz[], $3::bytea[]) AS named (account_id, entry_time, content_id)
         JOIN seen_change AS seen USING (account_id, entry_time, content_id)",
        &accounts,
        &times,
        &contents,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let content = row
            .content_id
            .try_into()
            .map_err(|_| sqlx::Error::Decode("content_id is not of 32 bytes".into()))?;
        let key = (account_id(&row.account_id)?, row.entry_time, content);
        let seen = Seen {
            recorded_at: row.recorded_at,
            partition: Partition(row.source_partition),
        };
        state.seen.read(key, seen);
    }
    Ok(())
}

/// What the tenants that watch, connect or are owed were told so far.
pub(super) async fn load_told(
    conn: &mut PgConnection,
    named: &Named,
    state: &mut State,
) -> Result<(), sqlx::Error> {
    let tenants_of = |account: &AdAccountId| {
        let watching = state
            .watches
            .get(account)
            .into_iter()
            .flat_map(BTreeMap::keys);
        let named = named.tenants.get(account).into_iter().flatten();
        watching
            .chain(named)
            .copied()
            .collect::<BTreeSet<TenantId>>()
    };
    let (mut tenants, mut accounts, mut ads) = (Vec::new(), Vec::new(), Vec::new());
    for (account, ad) in &named.ads {
        for tenant in tenants_of(account) {
            tenants.push(tenant.as_uuid());
            accounts.push(account.to_string());
            ads.push(ad.clone());
        }
    }
    let (mut owners, mut owned) = (Vec::new(), Vec::new());
    for account in &named.statuses {
        for tenant in tenants_of(account) {
            owners.push(tenant.as_uuid());
            owned.push(account.to_string());
        }
    }
    if !ads.is_empty() {
        let rows = sqlx::query!(
            "SELECT ad.*
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS named (tenant_id, account_id, ad_id)
             JOIN ad_state AS ad USING (tenant_id, account_id, ad_id)",
            &tenants,
            &accounts,
            &ads,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in rows {
            let account = account_id(&row.account_id)?;
            let ad = Ad {
                status: row.status,
                changed_at: row.changed_at,
                fetch_needed: row.fetch_needed,
                alarmed: row.alarmed,
                issues: row.issues.as_chunks::<16>().0.to_vec(),
            };
            let key = (TenantId::new(row.tenant_id), account, row.ad_id);
            state.ads.read(key, ad);
        }
    }
    if !owned.is_empty() {
        let rows = sqlx::query!(
            "SELECT account.*
             FROM unnest($1::uuid[], $2::text[]) AS named (tenant_id, account_id)
             JOIN account_state AS account USING (tenant_id, account_id)",
            &owners,
            &owned,
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            let key = (TenantId::new(row.tenant_id), account_id(&row.account_id)?);
            let account = Account {
                status: row.status,
                disable_reason: row.disable_reason,
                changed_at: row.changed_at,
            };
            state.accounts.read(key, account);
        }
    }
    Ok(())
}
