//! Rows as the API's resources: query and command answer with the same ones.

use compline_api::{
    name::Collection,
    query::{Account, ApiKey, KeyRole, Tenant},
    timestamp::to_proto,
};

use crate::row::{self, Role};

pub fn tenant(row: row::Tenant) -> Tenant {
    Tenant {
        name: Collection::Tenants.name(&row.tenant_id.to_string()),
        display_name: row.display_name,
        create_time: Some(to_proto(row.created_at)),
        version: row.version,
    }
}

pub fn account(row: row::Account) -> Account {
    Account {
        name: Collection::Accounts.name(row.ad_account_id.as_str()),
        display_name: row.display_name,
        connected: row.connected,
        status: row.status,
        disable_reason: row.disable_reason,
        connect_time: row.connected_at.map(to_proto),
        status_time: row.status_changed_at.map(to_proto),
        version: row.version,
    }
}

/// Its hash stays where it is.
pub fn api_key(row: row::ApiKey) -> ApiKey {
    let role = match row.role {
        Role::Admin => KeyRole::Admin,
        Role::Auditor => KeyRole::Auditor,
        Role::Standard => KeyRole::Standard,
    };
    ApiKey {
        name: Collection::ApiKeys.name(&row.key_id),
        display_name: row.display_name,
        role: role.into(),
        issue_time: row.issued_at.map(to_proto),
        revoke_time: row.revoked_at.map(to_proto),
        version: row.version,
    }
}
