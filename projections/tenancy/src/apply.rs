//! The fold.
//!
//! | event | effective | else |
//! |---|---|---|
//! | OrganizationCreated | the tenant, or its new name | – |
//! | AccountConnected | connected; since now, when it was not; a name that is given replaces the old one | – |
//! | AccountDisconnected | not connected | – |
//! | ApiKeyIssued | the key, when its id was never issued; a revoked one stays revoked | – |
//! | ApiKeyRevoked | revoked since now, when it was not | – |
//! | AccountStatusChanged | not commanded: the status, unless it came late; no version | – |
//! | any other | nothing | – |
//!
//! "Effective" asks only for the version: connecting what is connected is a
//! success that counts, and changes no more than the name.

use std::collections::{BTreeMap, BTreeSet};

use compline_event::{
    AdAccountId, Envelope, Event, Recorded, TenantId,
    account_events::AccountStatusChanged,
    command::{AdminKeys, Commanded, Verdict, verdict},
    tenant_events::{self, ApiKeyIssued},
    timestamp,
};
use compline_readmodel::FoldError;
use uuid::Uuid;

use crate::row::{Account, ApiKey, Outcome, Request, Role, Tenant};

pub(crate) type RequestKey = (TenantId, String, Uuid);

/// The rows that one batch touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub(crate) tenants: BTreeMap<TenantId, Tenant>,
    pub(crate) accounts: BTreeMap<(TenantId, AdAccountId), Account>,
    pub(crate) keys: BTreeMap<(TenantId, String), ApiKey>,
    /// What `keys` say, but of every key of a tenant.
    pub(crate) admin_keys: AdminKeys,
    /// Requests of earlier batches: that they were decided is all that matters.
    pub(crate) decided_before: BTreeSet<RequestKey>,
    pub(crate) requests: BTreeMap<RequestKey, Request>,
}

pub(crate) fn apply(rows: &mut Rows, event: &Recorded) -> Result<(), FoldError> {
    let envelope = &event.envelope;
    if let Event::AccountStatusChanged(change) = &envelope.event {
        return apply_status(rows, envelope, change);
    }
    let Some(command) = Commanded::of(envelope).map_err(permanent)? else {
        return Ok(());
    };
    let tenant = envelope.require_tenant().map_err(permanent)?;
    let key = (tenant, command.entity, command.request_id);
    let seen = rows.decided_before.contains(&key) || rows.requests.contains_key(&key);
    let current = current_version(rows, tenant, &envelope.event)?;
    let verdict = verdict(seen, current, command.expected_version);
    let keys = &mut rows.admin_keys;
    let (outcome, version) = match keys.judge(verdict, tenant, &envelope.event, current) {
        Verdict::Repeated => return Ok(()),
        Verdict::Stale => (Outcome::Stale, current),
        Verdict::LastAdmin => (Outcome::LastAdmin, current),
        Verdict::Effective => {
            change(rows, tenant, envelope, current + 1)?;
            (Outcome::Effective, current + 1)
        }
    };
    let (tenant_id, entity, request_id) = key.clone();
    let request = Request {
        tenant_id,
        entity,
        request_id,
        event_type: envelope.event.type_name().to_owned(),
        outcome,
        version,
        at: event.at,
    };
    rows.requests.insert(key, request);
    Ok(())
}

/// The rows that `event` reads and writes: its account, or its key.
pub(crate) enum Entity {
    Tenant,
    Account(AdAccountId),
    Key(String),
}

/// `None` for an event that changes no row here.
pub(crate) fn entity_of(event: &Event) -> Result<Option<Entity>, FoldError> {
    let account = |id: &str| id.parse().map(Entity::Account).map_err(permanent);
    Ok(Some(match event {
        Event::OrganizationCreated(_) => Entity::Tenant,
        Event::AccountConnected(e) => account(&e.ad_account_id)?,
        Event::AccountDisconnected(e) => account(&e.ad_account_id)?,
        Event::AccountStatusChanged(e) => account(&e.ad_account_id)?,
        Event::ApiKeyIssued(e) => Entity::Key(e.key_id.clone()),
        Event::ApiKeyRevoked(e) => Entity::Key(e.key_id.clone()),
        _ => return Ok(None),
    }))
}

fn current_version(rows: &Rows, tenant: TenantId, event: &Event) -> Result<u64, FoldError> {
    let version = match entity_of(event)? {
        None => None,
        Some(Entity::Tenant) => rows.tenants.get(&tenant).map(|row| row.version),
        Some(Entity::Account(id)) => rows.accounts.get(&(tenant, id)).map(|row| row.version),
        Some(Entity::Key(id)) => rows.keys.get(&(tenant, id)).map(|row| row.version),
    };
    Ok(version.unwrap_or(0))
}

/// Carries out an effective command.
fn change(
    rows: &mut Rows,
    tenant: TenantId,
    envelope: &Envelope,
    version: u64,
) -> Result<(), FoldError> {
    let now = envelope.recorded_at;
    match &envelope.event {
        Event::OrganizationCreated(e) => {
            let row = rows.tenants.entry(tenant).or_insert_with(|| Tenant {
                tenant_id: tenant,
                display_name: String::new(),
                created_at: now,
                version,
            });
            row.display_name.clone_from(&e.display_name);
            row.version = version;
        }
        Event::AccountConnected(e) => {
            let row = account(rows, tenant, &e.ad_account_id)?;
            if !row.connected {
                row.connected = true;
                row.connected_at = Some(now);
            }
            if !e.display_name.is_empty() {
                row.display_name.clone_from(&e.display_name);
            }
            row.version = version;
        }
        Event::AccountDisconnected(e) => {
            let row = account(rows, tenant, &e.ad_account_id)?;
            row.connected = false;
            row.version = version;
        }
        Event::ApiKeyIssued(e) => {
            let (role, secret_sha256) = readable(e)?;
            let row = key(rows, tenant, &e.key_id);
            if row.issued_at.is_none() {
                row.display_name.clone_from(&e.display_name);
                row.role = role;
                row.secret_sha256 = secret_sha256;
                row.issued_at = Some(now);
            }
            row.version = version;
        }
        Event::ApiKeyRevoked(e) => {
            let row = key(rows, tenant, &e.key_id);
            row.revoked_at.get_or_insert(now);
            row.version = version;
        }
        _ => {}
    }
    Ok(())
}

fn apply_status(
    rows: &mut Rows,
    envelope: &Envelope,
    change: &AccountStatusChanged,
) -> Result<(), FoldError> {
    if change.late {
        return Ok(());
    }
    let tenant = envelope.require_tenant().map_err(permanent)?;
    let changed_at = change.changed_at.as_ref().and_then(timestamp::from_proto);
    let row = account(rows, tenant, &change.ad_account_id)?;
    row.status = change.new_status;
    row.disable_reason = change.disable_reason;
    row.status_changed_at = Some(changed_at.unwrap_or(envelope.occurred_at));
    Ok(())
}

fn account<'a>(
    rows: &'a mut Rows,
    tenant: TenantId,
    id: &str,
) -> Result<&'a mut Account, FoldError> {
    let id: AdAccountId = id.parse().map_err(permanent)?;
    let row = rows.accounts.entry((tenant, id.clone()));
    Ok(row.or_insert_with(|| Account {
        tenant_id: tenant,
        ad_account_id: id,
        display_name: String::new(),
        connected: false,
        connected_at: None,
        status: 0,
        disable_reason: 0,
        status_changed_at: None,
        version: 0,
    }))
}

/// A key that was never issued has a hash that no secret has.
fn key<'a>(rows: &'a mut Rows, tenant: TenantId, id: &str) -> &'a mut ApiKey {
    let row = rows.keys.entry((tenant, id.to_owned()));
    row.or_insert_with(|| ApiKey {
        tenant_id: tenant,
        key_id: id.to_owned(),
        display_name: String::new(),
        role: Role::Standard,
        secret_sha256: [0; 32],
        issued_at: None,
        revoked_at: None,
        version: 0,
    })
}

fn readable(issued: &ApiKeyIssued) -> Result<(Role, [u8; 32]), FoldError> {
    let role = match issued.role() {
        tenant_events::Role::Admin => Role::Admin,
        tenant_events::Role::Auditor => Role::Auditor,
        tenant_events::Role::Standard => Role::Standard,
        tenant_events::Role::Unspecified => {
            return Err(FoldError::new(format!("key of role {}", issued.role)));
        }
    };
    let hash = issued.secret_sha256.as_ref().try_into().map_err(|_| {
        let length = issued.secret_sha256.len();
        FoldError::new(format!("SHA-256 of {length} bytes"))
    })?;
    Ok((role, hash))
}

fn permanent(error: impl std::error::Error) -> FoldError {
    FoldError::new(error.to_string())
}

#[cfg(test)]
mod tests;
